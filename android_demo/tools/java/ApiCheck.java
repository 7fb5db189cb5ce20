import java.io.File;
import java.io.FileInputStream;
import java.util.List;
import java.util.Set;
import org.codehaus.mojo.animal_sniffer.SignatureChecker;
import org.codehaus.mojo.animal_sniffer.logging.PrintWriterLogger;

/**
 * Prints what a jar calls that an API level lacks: ApiCheck SIGNATURE JAR PACKAGE.*..., those being outside Android.
 * Functions with TargetApi are left out: they are for newer levels, and called there only.
 */
public final class ApiCheck {
    public static void main(String[] arguments) throws Exception {
        Set<String> outside = Set.copyOf(List.of(arguments).subList(2, arguments.length));
        PrintWriterLogger log = new PrintWriterLogger(System.out);
        try (FileInputStream signature = new FileInputStream(arguments[0])) {
            SignatureChecker checker = new SignatureChecker(signature, outside, log);
            checker.setSourcePath(List.of());
            checker.setAnnotationTypes(List.of("android.annotation.TargetApi"));
            checker.process(new File(arguments[1]));
            System.exit(checker.isSignatureBroken() ? 1 : 0);
        }
    }
}

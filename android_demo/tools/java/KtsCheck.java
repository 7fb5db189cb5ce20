import java.nio.file.Files;
import java.nio.file.Path;
import org.jetbrains.kotlin.cli.common.CLIConfigurationKeys;
import org.jetbrains.kotlin.cli.common.messages.MessageCollector;
import org.jetbrains.kotlin.cli.jvm.compiler.EnvironmentConfigFiles;
import org.jetbrains.kotlin.cli.jvm.compiler.KotlinCoreEnvironment;
import org.jetbrains.kotlin.com.intellij.openapi.util.Disposer;
import org.jetbrains.kotlin.com.intellij.psi.PsiErrorElement;
import org.jetbrains.kotlin.com.intellij.psi.util.PsiTreeUtil;
import org.jetbrains.kotlin.config.CompilerConfiguration;
import org.jetbrains.kotlin.psi.KtFile;
import org.jetbrains.kotlin.psi.KtPsiFactory;

/** Prints the syntax errors of Kotlin scripts, which only Gradle could run: KtsCheck FILE... */
public final class KtsCheck {
    @SuppressWarnings("deprecation") // the compiler's way to parse without compiling
    public static void main(String[] paths) throws Exception {
        CompilerConfiguration configuration = new CompilerConfiguration();
        configuration.put(CLIConfigurationKeys.MESSAGE_COLLECTOR_KEY, MessageCollector.Companion.getNONE());
        KotlinCoreEnvironment environment = KotlinCoreEnvironment.createForProduction(
                Disposer.newDisposable(), configuration, EnvironmentConfigFiles.JVM_CONFIG_FILES);
        int errors = 0;
        for (String path : paths) {
            String text = Files.readString(Path.of(path));
            KtFile file = new KtPsiFactory(environment.getProject()).createFile("script.gradle.kts", text);
            for (PsiErrorElement error : PsiTreeUtil.collectElementsOfType(file, PsiErrorElement.class)) {
                long line = 1 + text.substring(0, error.getTextOffset()).chars().filter(c -> c == '\n').count();
                System.out.println(path + ":" + line + ": " + error.getErrorDescription());
                errors++;
            }
        }
        System.exit(errors > 0 ? 1 : 0);
    }
}

import java.util.ArrayList;
import java.util.List;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.Result;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/**
 * Runs test classes: JUnitRun OWN_PACKAGE CLASS...
 * It prints a line for each test, then what failed, and ends with 3 if anything did.
 */
public final class JUnitRun extends RunListener {
    private final String ownPackage;
    private String verdict;
    private long began;

    private JUnitRun(String ownPackage) {
        this.ownPackage = ownPackage;
    }

    public static void main(String[] arguments) throws Exception {
        JUnitRun listener = new JUnitRun(arguments[0]);
        List<Class<?>> classes = new ArrayList<>();
        for (String name : List.of(arguments).subList(1, arguments.length)) {
            classes.add(Class.forName(name, false, JUnitRun.class.getClassLoader()));
        }
        JUnitCore core = new JUnitCore();
        core.addListener(listener);
        Result result = core.run(classes.toArray(new Class<?>[0]));
        result.getFailures().forEach(listener::print);
        int skipped = result.getIgnoreCount() + result.getAssumptionFailureCount();
        System.out.printf("%n%d tests run: %d failed, %d skipped, %.1f s%n", result.getRunCount(),
                result.getFailureCount(), skipped, result.getRunTime() / 1e3);
        System.exit(result.wasSuccessful() && result.getRunCount() > 0 ? 0 : 3);
    }

    @Override
    public void testStarted(Description test) {
        verdict = "ok";
        began = System.nanoTime();
    }

    @Override
    public void testFailure(Failure failure) {
        verdict = "FAILED";
    }

    @Override
    public void testAssumptionFailure(Failure failure) {
        verdict = "skipped (" + failure.getMessage() + ")";
    }

    @Override
    public void testFinished(Description test) {
        String name = test.getTestClass().getSimpleName() + "." + test.getMethodName();
        System.out.printf("    %s  %s  %.1f s%n", name, verdict, (System.nanoTime() - began) / 1e9);
    }

    /** What failed and where: of the stack, only the lines of our own code and the causes. */
    private void print(Failure failure) {
        System.out.printf("%nFAILED %s%n", failure.getTestHeader());
        boolean inStack = false;
        for (String line : failure.getTrace().split("\n")) {
            boolean isFrame = line.startsWith("\tat ") || line.startsWith("\t... ");
            if (!isFrame || line.startsWith("\tat " + ownPackage) || !inStack) {
                System.out.println("    " + line);
            }
            inStack = inStack || isFrame;
        }
    }
}

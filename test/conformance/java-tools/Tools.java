// Runs command-line tools of Apache Kafka one after another in one JVM, as if each were started by hand.
//
//   java -cp 'libs/*' Tools.java COMMANDS OUTDIR
//
// A line of COMMANDS: name, seconds, file for standard input (or -), class, arguments; separated by tabs. What a tool prints goes
// to OUTDIR/name.out; its exit code and milliseconds to standard output: "name code ms". Kafka's tools end through Exit, which is
// told here to throw instead; one that does not end in its time counts as 124, and is left to itself.

import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import org.apache.kafka.common.utils.Exit;

public class Tools {
    static class Ended extends Error {
        final int code;
        Ended(int code) { super("exit " + code, null, false, false); this.code = code; }
    }

    static int ended(Throwable error) {
        for (Throwable e = error; e != null; e = e.getCause()) if (e instanceof Ended) return ((Ended) e).code;
        error.printStackTrace();
        return 1;
    }

    static int run(String name, String[] arguments, int seconds, List<Runnable> hooks) throws Exception {
        int[] code = {0};
        // The first call of Exit counts: some tools catch what it throws here and end once more, and some call it on another thread.
        int[] first = {-1};
        Thread tool = new Thread(() -> {
            try {
                Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) arguments);
            } catch (InvocationTargetException e) {
                code[0] = ended(e.getCause());
            } catch (Throwable e) {
                code[0] = ended(e);
            }
        });
        Exit.setExitProcedure((status, message) -> {
            if (first[0] < 0) first[0] = status;
            throw new Ended(status);
        });
        Exit.setHaltProcedure((status, message) -> { throw new Ended(status); });
        Exit.setShutdownHookAdder((hook, task) -> hooks.add(task));
        tool.setDaemon(true);
        tool.setUncaughtExceptionHandler((t, e) -> { });
        tool.start();
        tool.join(seconds * 1000L);
        if (tool.isAlive() && first[0] < 0) code[0] = 124;
        for (Runnable hook : hooks) {
            Thread last = new Thread(hook);
            last.setDaemon(true);
            last.start();
            last.join(5000);
        }
        if (tool.isAlive()) tool.interrupt();
        return first[0] >= 0 ? first[0] : code[0];
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        InputStream in = System.in;
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] words = line.split("\t", -1);
            PrintStream file = new PrintStream(new FileOutputStream(new File(args[1], words[0] + ".out")), true);
            System.setOut(file);
            System.setErr(file);
            System.setIn(words[2].equals("-") ? new ByteArrayInputStream(new byte[0])
                : new ByteArrayInputStream(Files.readAllBytes(Path.of(words[2]))));
            long begin = System.nanoTime();
            int code = run(words[3], Arrays.copyOfRange(words, 4, words.length), Integer.parseInt(words[1]), new ArrayList<>());
            file.flush();
            out.println(words[0] + " " + code + " " + (System.nanoTime() - begin) / 1000000);
            out.flush();
        }
        System.setOut(out);
        System.setIn(in);
        Runtime.getRuntime().halt(0);
    }
}

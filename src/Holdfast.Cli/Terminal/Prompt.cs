using System.Text;

namespace Holdfast.Cli.Terminal;

/// <summary>Asks the person at the terminal. Ctrl+C ends the question, and the terminal shows again what is typed.</summary>
static class Prompt
{
    /// <summary>Without a terminal nobody is asked.</summary>
    public static bool IsPossible => !Console.IsInputRedirected;

    /// <summary>Asks for an exact answer; without a terminal there is none.</summary>
    /// <exception cref="OperationCanceledException">Ctrl+C.</exception>
    public static bool Confirm(string question, string answer, CancellationToken stop) =>
        IsPossible && Line($"{question} Type \"{answer}\" to go on: ", stop) == answer;

    /// <returns>Without spaces around it; null at the end of the input (Ctrl+D).</returns>
    /// <exception cref="OperationCanceledException">Ctrl+C.</exception>
    public static string? Line(string question, CancellationToken stop) => Ask(question, () => Console.ReadLine()?.Trim(), stop);

    /// <summary>Asks for something that is not shown while it is typed.</summary>
    /// <returns>Null at the end of the input (Ctrl+D on an empty line).</returns>
    /// <exception cref="OperationCanceledException">Ctrl+C.</exception>
    public static string? Hidden(string question, CancellationToken stop)
    {
        try
        {
            return Ask(question, ReadHidden, stop);
        }
        finally
        {
            Console.Error.WriteLine(); // in place of the line end that was not shown
        }
    }

    static string? ReadHidden()
    {
        const char endOfTransmission = '\x04';
        var text = new StringBuilder();
        while (Console.ReadKey(intercept: true) is { Key: not ConsoleKey.Enter } key)
        {
            if (key.KeyChar == endOfTransmission && text.Length == 0)
                return null;
            if (key.Key == ConsoleKey.Backspace)
                text.Length = Math.Max(0, text.Length - 1);
            else if (key.KeyChar >= ' ' && key.KeyChar != '\x7f')
                text.Append(key.KeyChar);
        }
        return text.ToString();
    }

    /// <summary>Reads on a thread of its own, since nothing calls a read of the terminal back. One that is left waiting ends with the process, and .NET sets the terminal right
    /// as that ends.</summary>
    static string? Ask(string question, Func<string?> read, CancellationToken stop)
    {
        Output.Flush();
        Console.Error.Write(Text.Plain(question));
        var answer = Task.Factory.StartNew(read, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        try
        {
            answer.Wait(stop);
            return answer.Result;
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine();
            throw;
        }
        catch (AggregateException e) when (e.InnerException is InvalidOperationException or IOException)
        {
            return null; // the terminal has gone
        }
    }
}

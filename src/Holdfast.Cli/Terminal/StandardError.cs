using System.Text;
using Holdfast.Core.Storage;

namespace Holdfast.Cli.Terminal;

/// <summary>Standard error where it may be on a full disk, or closed: what cannot be said there is not said, and the command goes on to its own end and status.</summary>
sealed class StandardError(TextWriter inner) : TextWriter
{
    public override Encoding Encoding => inner.Encoding;

    public override void Write(char value) => Try(() => inner.Write(value));

    public override void Write(char[] buffer, int index, int count) => Try(() => inner.Write(buffer, index, count));

    public override void Write(string? value) => Try(() => inner.Write(value));

    public override void WriteLine(string? value) => Try(() => inner.WriteLine(value));

    public override void Flush() => Try(inner.Flush);

    static void Try(Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (DiskFault.IsOfFile(e)) // the second where it was closed, and its number now belongs to a file of the runtime's own
        {
        }
    }
}

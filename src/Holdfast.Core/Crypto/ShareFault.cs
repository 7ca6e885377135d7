namespace Holdfast.Core.Crypto;

/// <summary>What is wrong with a typed share, and where, in words for the person who types. Never holds a character of the share.</summary>
/// <param name="Line">1 to 7, or 0 where no single line is to blame.</param>
/// <param name="Position">The character in the line, 1 to 20 with spaces not counted, or 0.</param>
/// <param name="Problem">A sentence.</param>
public sealed record ShareFault(int Line, int Position, string Problem)
{
    public override string ToString() => (Line, Position) switch
    {
        (0, _) => Problem,
        (_, 0) => $"Line {Line}: {Problem}",
        _ => $"Line {Line}, group {(Position - 1) / 4 + 1}, character {(Position - 1) % 4 + 1}: {Problem}",
    };
}

using System.Security.Cryptography;
using System.Text;

namespace Holdfast.Core.Keeper;

/// <summary>Shows a bit that flipped in a note of the keeper's, which nothing else vouches for. Whoever writes the note can write this too.</summary>
static class NoteCheck
{
    const int Size = 8; // bytes

    public static string Of(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, Size));
}

using System.Buffers.Binary;
using System.Runtime.Intrinsics;
using X86Aes = System.Runtime.Intrinsics.X86.Aes;

namespace Holdfast.Core.Chunking;

/// <summary>The keyed half of cutting: AES-128 CBC-MAC over the 64-byte window that ends at a candidate. Windows have one length, so that CBC-MAC
/// is a sound PRF; what an observer sees of chunk lengths tells nothing of the key.</summary>
sealed class CutDecision : IDisposable
{
    public const int Window = 64; // bytes

    readonly Vector128<byte>[] _roundKeys;
    readonly System.Security.Cryptography.Aes _aes;

    public CutDecision(ReadOnlySpan<byte> key, bool allowIntrinsics = true)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(key.Length, 16);
        _aes = System.Security.Cryptography.Aes.Create();
        _aes.Key = key.ToArray();
        _roundKeys = allowIntrinsics && X86Aes.IsSupported ? Expand(key) : [];
    }

    /// <summary>First 8 bytes of the MAC as a little-endian number.</summary>
    /// <param name="window">64 bytes.</param>
    public ulong Value(ReadOnlySpan<byte> window)
    {
        if (_roundKeys.Length == 0)
        {
            Span<byte> encrypted = stackalloc byte[Window];
            _aes.EncryptCbc(window, stackalloc byte[16], encrypted, System.Security.Cryptography.PaddingMode.None);
            return BinaryPrimitives.ReadUInt64LittleEndian(encrypted[48..]);
        }
        var state = Vector128<byte>.Zero;
        for (var block = 0; block < Window; block += 16)
        {
            state ^= Vector128.Create(window.Slice(block, 16));
            state ^= _roundKeys[0];
            for (var round = 1; round < 10; round++)
                state = X86Aes.Encrypt(state, _roundKeys[round]);
            state = X86Aes.EncryptLast(state, _roundKeys[10]);
        }
        return state.AsUInt64().ToScalar();
    }

    static Vector128<byte>[] Expand(ReadOnlySpan<byte> key)
    {
        var keys = new Vector128<byte>[11];
        keys[0] = Vector128.Create(key);
        keys[1] = Next(keys[0], X86Aes.KeygenAssist(keys[0], 0x01));
        keys[2] = Next(keys[1], X86Aes.KeygenAssist(keys[1], 0x02));
        keys[3] = Next(keys[2], X86Aes.KeygenAssist(keys[2], 0x04));
        keys[4] = Next(keys[3], X86Aes.KeygenAssist(keys[3], 0x08));
        keys[5] = Next(keys[4], X86Aes.KeygenAssist(keys[4], 0x10));
        keys[6] = Next(keys[5], X86Aes.KeygenAssist(keys[5], 0x20));
        keys[7] = Next(keys[6], X86Aes.KeygenAssist(keys[6], 0x40));
        keys[8] = Next(keys[7], X86Aes.KeygenAssist(keys[7], 0x80));
        keys[9] = Next(keys[8], X86Aes.KeygenAssist(keys[8], 0x1B));
        keys[10] = Next(keys[9], X86Aes.KeygenAssist(keys[9], 0x36));
        return keys;

        static Vector128<byte> Next(Vector128<byte> key, Vector128<byte> assist)
        {
            var words = key.AsUInt32();
            var last = assist.AsUInt32().GetElement(3);
            var a = words.GetElement(0) ^ last;
            var b = words.GetElement(1) ^ a;
            var c = words.GetElement(2) ^ b;
            var d = words.GetElement(3) ^ c;
            return Vector128.Create(a, b, c, d).AsByte();
        }
    }

    public void Dispose() => _aes.Dispose();
}

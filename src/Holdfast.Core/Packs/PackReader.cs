using Holdfast.Core.Crypto;
using Holdfast.Core.Keys;
using Holdfast.Core.Storage;

namespace Holdfast.Core.Packs;

/// <summary>One pack, open for reading: its header and footer in memory, its frames by number. Takes each frame from the copy whose footer it has, and where it does not open there,
/// from the first other in which it does. Safe for concurrent use.</summary>
public sealed class PackReader : IDisposable
{
    readonly IStore _store;
    readonly IStoredItem _copy;
    readonly List<int> _others; // numbers of the other copies: opened when they are asked, for there may be many
    readonly List<SecretBytes> _secrets; // that the headers of the copies give: one, where none is damaged
    readonly AeadKey[] _keys; // of these
    readonly bool _isSealedToNone;
    volatile int _lastKey; // that opened a frame

    PackReader(IStore store, Hash32 name, PackHeader header, PackFooter footer, IStoredItem copy, List<int> others, List<SecretBytes> secrets, bool isSealedToNone, HoldfastException? unread)
    {
        Unread = unread;
        _store = store;
        Name = name;
        Header = header;
        Footer = footer;
        _copy = copy;
        _others = others;
        _secrets = secrets;
        _keys = [.. secrets.Select(s => new AeadKey(s.Span))];
        _isSealedToNone = isSealedToNone;
    }

    public Hash32 Name { get; }
    public PackHeader Header { get; }
    public PackFooter Footer { get; }

    /// <summary>Why a copy's header or footer could not be read, though the disk may give it the next time; null where each could.</summary>
    internal HoldfastException? Unread { get; }

    /// <summary>True where the keys open its frames, not only its footer.</summary>
    public bool IsReadable => _keys.Length > 0;

    /// <summary>True where the keys open all that a sound writer seals as this pack says it is, and not this pack: whoever wrote it saw to it that nobody reads it.</summary>
    public bool IsSealedToNone => _isSealedToNone && !IsReadable;

    /// <summary>Opens a pack with all a reader holds.</summary>
    /// <exception cref="HoldfastException"><c>PackMissing</c>, <c>PackDamaged</c>, <c>FormatNewer</c>, <c>WrongVault</c>, <c>KeyTooNarrow</c>.</exception>
    public static PackReader Open(IStore store, Hash32 name, ReadingKeys keys) =>
        Open(store, name, keys.Vault, keys.Domain, header => keys.PackKey(header.Seal, header.Salt), keys.OpensAllLike);

    /// <summary>Opens a pack's footer alone, with the index key.</summary>
    public static PackReader OpenFooter(IStore store, Hash32 name, Id16 vault, DomainKeys domain) =>
        Open(store, name, vault, id => id == domain.Domain ? domain : throw new HoldfastException(ErrorCode.KeyTooNarrow,
            $"Pack {name} belongs to another trust domain.", "Use the keys of that domain."), _ => null, _ => false);

    /// <summary>True where a pack, or the store, does not give what was asked for: another place may have it. False of what is wrong elsewhere.</summary>
    public static bool IsOfPlace(HoldfastException e) => IsDamage(e) || e.Code is ErrorCode.NoPermission or ErrorCode.FormatNewer or ErrorCode.WrongVault or ErrorCode.KeyTooNarrow;

    /// <summary>Those of them that neither another key nor another user or program mends.</summary>
    public static bool IsDamage(HoldfastException e) => e.Code is ErrorCode.PackDamaged or ErrorCode.PackMissing or ErrorCode.Truncated or ErrorCode.StoreUnavailable;

    /// <summary>Those that the next look may find otherwise: they say nothing of the bytes.</summary>
    public static bool MayPass(HoldfastException e) => e.Code == ErrorCode.PackMissing || IsOfDisk(e);

    /// <summary>Those that lie with the disk, the user or what the system lets the process have, and say nothing of the bytes.</summary>
    static bool IsOfDisk(HoldfastException e) => e.Code is ErrorCode.StoreUnavailable or ErrorCode.NoPermission or ErrorCode.SystemLimit;

    /// <summary>What to tell of two copies: what could not be read may be sound. That a newer version wrote it is for the caller to believe or not.</summary>
    static HoldfastException Telling(HoldfastException? told, HoldfastException e) =>
        told is null || (!IsOfDisk(told) && (IsOfDisk(e) || e.Code == ErrorCode.FormatNewer)) ? e : told;

    static PackReader Open(IStore store, Hash32 name, Id16 vault, Func<Id16, DomainKeys> domain, Func<PackHeader, SecretBytes?> packKey, Func<SessionSeal, bool> opensAllLike)
    {
        IStoredItem? held = null;
        var others = new List<int>();
        var keys = new List<SecretBytes>();
        PackHeader? header = null;
        PackFooter? footer = null;
        HoldfastException? fault = null, unread = null;
        try
        {
            for (var copy = 0; copy < StoreExtensions.MaxCopies; copy++)
            {
                IStoredItem? item = null;
                var isHeld = false;
                try
                {
                    item = store.Open(StoreKind.Pack, name, copy);
                    if (item is null)
                        break;
                    var own = ReadHeader(item, name, vault);
                    // No footer covers all that the key follows from: a copy that is damaged there must not keep another's frames closed.
                    if (packKey(own) is { } key)
                    {
                        if (keys.Exists(k => k.FixedTimeEquals(key.Span)))
                            key.Dispose();
                        else
                            keys.Add(key);
                    }
                    if (footer is null)
                    {
                        (footer, header) = (ReadFooter(item, name, own, domain(own.Seal.Domain)), own);
                        (held, isHeld) = (item, true);
                    }
                }
                catch (HoldfastException e)
                {
                    // Of this copy, whatever it is: the next may be sound.
                    fault = Telling(fault, e);
                    unread ??= IsOfDisk(e) ? e : null;
                }
                if (isHeld)
                    continue;
                item?.Dispose();
                others.Add(copy); // though its header or footer does not read, its frames may
            }
            if (footer is null)
                throw fault ?? new HoldfastException(ErrorCode.PackMissing,
                    $"Pack {name} is not in the vault.",
                    "Mount the disk that holds it, or say where that folder is now (`holdfast store move OLD NEW`); or bring it from another copy of the vault; then run holdfast verify.");
            return new PackReader(store, name, header!, footer, held!, others, keys, opensAllLike(header!.Seal), unread);
        }
        catch
        {
            held?.Dispose();
            foreach (var key in keys)
                key.Dispose();
            throw;
        }
    }

    static PackHeader ReadHeader(IStoredItem item, Hash32 name, Id16 vault)
    {
        var bytes = new byte[PackFormat.HeaderSize];
        if (!PackTrailer.IsLegalSize(item.Size))
            throw PackFormat.Damaged(name, "it has no legal size");
        item.Read(0, bytes);
        if (PackHeader.TryParse(bytes, out var header))
            return header!.Vault == vault ? header : throw new HoldfastException(ErrorCode.WrongVault,
                $"Pack {name} belongs to vault {header.Vault}.", "A file of another vault lies in this vault's folder; move it back to its own.");
        try
        {
            ObjectHeader.Parse(bytes, ObjectType.Pack, vault); // newer format and wrong vault have words of their own
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.ObjectDamaged)
        {
        }
        throw PackFormat.Damaged(name, "its header cannot be read");
    }

    static PackFooter ReadFooter(IStoredItem item, Hash32 name, PackHeader header, DomainKeys domain)
    {
        if (!PackTrailer.TryRead(item, out var trailer))
            throw PackFormat.Damaged(name, "its trailer cannot be read");
        var stored = new byte[trailer.FooterLength];
        item.Read(trailer.FooterStart, stored);
        var plaintext = new byte[trailer.FooterLength - Aead.TagSize];
        var start = new byte[PackFormat.BoundHeaderSize];
        item.Read(0, start);
        using var key = SessionSeal.FooterKey(domain, header.Salt);
        if (!key.TryOpen(stackalloc byte[Aead.NonceSize], stored, plaintext, PackWriter.FooterAad(start)))
            throw PackFormat.Damaged(name, "its footer does not open");
        if (!PackFooter.TryParse(plaintext, trailer.FramesEnd, out var footer))
            throw PackFormat.Damaged(name, "its footer makes no sense");
        return footer!.PayloadBytes <= PackFormat.MaxExpansion * item.Size ? footer
            : throw PackFormat.Damaged(name, $"what is in it unpacks to more than {PackFormat.MaxExpansion} times its size, which no sound writer stores");
    }

    /// <summary>Reads, opens and decompresses a frame.</summary>
    /// <param name="frame">Number of the frame.</param>
    /// <param name="buffer">The calling thread's own; holds the payload until the next call.</param>
    /// <exception cref="HoldfastException"><c>PackDamaged</c> where no copy gives it; <c>StoreUnavailable</c>, <c>NoPermission</c> where one could not be read; <c>KeyTooNarrow</c>.</exception>
    public ReadOnlySpan<byte> ReadFrame(int frame, FrameBuffer buffer)
    {
        var payload = buffer.Payload(Footer.Payloads[frame]);
        ReadFrame(frame, buffer, payload);
        return payload;
    }

    /// <summary>The same into the caller's memory, as long as the frame's payload. Where no copy gives it, what is there then means nothing.</summary>
    /// <exception cref="HoldfastException"><c>PackDamaged</c> where no copy gives it; <c>KeyTooNarrow</c>.</exception>
    public void ReadFrame(int frame, FrameBuffer buffer, Span<byte> payload)
    {
        if (_keys.Length == 0)
            throw IsSealedToNone ? PackFormat.Damaged(Name, "it is sealed to no key of this vault") : new HoldfastException(ErrorCode.KeyTooNarrow,
                $"This key does not open the {Header.Seal.Class.ToString().ToLowerInvariant()} class of pack {Name}.", "Use the opening key: a scoped key opens one class, and contents take two (tree to find them, content to read them).");
        var stored = buffer.Stored(Footer.StoredLength(frame));
        var fault = Unread;
        if (TryRead(_copy, frame, buffer, stored, payload, ref fault))
            return;
        foreach (var number in _others)
        {
            try
            {
                using var copy = _store.Open(StoreKind.Pack, Name, number);
                if (copy is not null && TryRead(copy, frame, buffer, stored, payload, ref fault))
                    return;
            }
            catch (HoldfastException e)
            {
                fault = Telling(fault, e);
            }
        }
        throw fault!;
    }

    bool TryRead(IStoredItem copy, int frame, FrameBuffer buffer, Span<byte> stored, Span<byte> payload, ref HoldfastException? fault)
    {
        var first = _lastKey;
        for (var i = 0; i < _keys.Length; i++)
        {
            var key = (first + i) % _keys.Length;
            try
            {
                copy.Read(Footer.FrameStarts[frame], stored); // again for each key: a frame that did not open may be gone
                buffer.Opener.Open(_keys[key], Name, frame, stored, Footer.Codecs[frame], payload, isSpent: !buffer.KeepsStored);
                _lastKey = key;
                return true;
            }
            catch (HoldfastException e)
            {
                fault = Telling(fault, e);
            }
        }
        return false;
    }

    /// <summary>A copy of the key of its frames; null where the keys give none. Where the copies' headers give several, the one that opens a frame; the first where none does.</summary>
    internal SecretBytes? CopyKey(FrameBuffer buffer)
    {
        if (_keys.Length > 1)
            _ = Enumerable.Range(0, Footer.Frames).Any(f => Opens(f, buffer)); // from then on that is the last key
        return IsReadable ? new SecretBytes(_secrets[_lastKey].Span) : null;
    }

    bool Opens(int frame, FrameBuffer buffer)
    {
        try
        {
            ReadFrame(frame, buffer);
            return true;
        }
        catch (HoldfastException e) when (IsOfPlace(e))
        {
            return false;
        }
    }

    public void Dispose()
    {
        foreach (var key in _keys)
            key.Dispose();
        foreach (var secret in _secrets)
            secret.Dispose();
        _copy.Dispose();
    }
}

/// <summary>One thread's buffers for reading frames.</summary>
public sealed class FrameBuffer : IDisposable
{
    byte[] _stored = [];
    byte[] _payload = [];
    int _length;

    /// <summary>Whether <see cref="LastStored"/> is asked for.</summary>
    internal bool KeepsStored { get; set; }

    /// <summary>The stored bytes of the frame read last, where they are kept.</summary>
    internal ReadOnlySpan<byte> LastStored => _stored.AsSpan(0, _length);

    internal FrameOpener Opener { get; } = new();

    internal Span<byte> Stored(int length)
    {
        if (_stored.Length < length)
            _stored = GC.AllocateUninitializedArray<byte>(length + length / 8);
        _length = length;
        return _stored.AsSpan(0, length);
    }

    internal Span<byte> Payload(int length)
    {
        if (_payload.Length < length)
            _payload = GC.AllocateUninitializedArray<byte>(length + length / 8);
        return _payload.AsSpan(0, length);
    }

    public void Dispose() => Opener.Dispose();
}

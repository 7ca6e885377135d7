using System.Text.Encodings.Web;
using System.Text.Json;

namespace Holdfast.Tests.Vectors;

/// <summary>One construction of docs/format.md, with its inputs and what it gives: bytes in hexadecimal, numbers in decimal.</summary>
/// <param name="Section">Of docs/format.md.</param>
/// <param name="Name">What it is.</param>
/// <param name="Rule">How the result follows from the inputs; docs/vectors.json says what each rule means.</param>
/// <param name="Label">The word of its label, or empty.</param>
sealed record FormatVector(string Section, string Name, string Rule, string Label, (string Name, object Value)[] In, (string Name, object Value)[] Out);

/// <summary>The file docs/vectors.json.</summary>
static class VectorFile
{
    static readonly (string Rule, string Meaning)[] Rules =
    [
        ("derive", "out = Derive(key, \"holdfast/v1/\" and the label, context, length) of section 1"),
        ("hash", "out = first bytes of SHA-256(\"holdfast/v1/\" and the label, if there is one, then data)"),
        ("hmac", "out = first bytes of HMAC(key, \"holdfast/v1/\" and the label, then data)"),
        ("seal", "out = AES-256-GCM ciphertext and tag of plaintext; AAD = \"holdfast/v1/\" and the label, if there is one, then aad"),
        ("box", "out = the sealed box of section 5.3 to the key pair of seed; ephemeral is what the encapsulation takes for its random 64 bytes"),
        ("xwing", "key pair of seed; encapsulation with the random 64 bytes ephemeral"),
        ("sign", "Ed25519 of \"holdfast/v1/\" and the label, if there is one, then message, under the seed"),
        ("argon2id", "version 0x13"),
        ("shamir", "byte i of share x = p_i(x), p_i(0) = byte i of secret; terms[k] has the coefficients of x^(k+1)"),
        ("share", "text of a share, and its check words"),
        ("encode", "fields in their order give out. A field is a type, a value and a name: u8 u16 u32 u64 i64 var svar in decimal; raw and bytes in hexadecimal, bytes with its length before it, - for none; u16be big-endian"),
        ("cut", "data is byte i = first 8 bits of SHA-256(u64 i/32)[i mod 32], i from 0: the 32-byte digests of 0, 1, 2 ... joined, length bytes of them; out are the lengths of its chunks"),
        ("block-digest", "section 6.1, of length bytes of the data of the rule cut"),
        ("merkle", "leaves are hashed and joined as RFC 6962 says; path is the audit path of the leaf at index"),
        ("pack-set", "root of the trie over the names; name n is SHA-256(u64 n), n from 0 to count - 1"),
        ("lock-end", "section 12.1"),
        ("filter", "section 8.1: a filter with the ids, bits in the order of its bytes"),
        ("note", "a checkpoint as a signed note, a proof, or a key file as text, UTF-8"),
    ];

    public static string Text(IReadOnlyList<FormatVector> vectors)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("format", "holdfast vault v1");
            json.WriteStartObject("rules");
            foreach (var (rule, meaning) in Rules)
                json.WriteString(rule, meaning);
            json.WriteEndObject();
            json.WriteStartArray("vectors");
            foreach (var vector in vectors)
                Write(json, vector);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return System.Text.Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    static void Write(Utf8JsonWriter json, FormatVector vector)
    {
        Assert.Contains(Rules, r => r.Rule == vector.Rule);
        json.WriteStartObject();
        json.WriteString("section", vector.Section);
        json.WriteString("name", vector.Name);
        json.WriteString("rule", vector.Rule);
        if (vector.Label.Length > 0)
            json.WriteString("label", vector.Label);
        Write(json, "in", vector.In);
        Write(json, "out", vector.Out);
        json.WriteEndObject();
    }

    static void Write(Utf8JsonWriter json, string name, (string Name, object Value)[] values)
    {
        json.WriteStartObject(name);
        foreach (var (key, value) in values)
        {
            switch (value)
            {
                case byte[] bytes:
                    json.WriteString(key, Convert.ToHexStringLower(bytes));
                    break;
                case IEnumerable<string> list:
                    json.WriteStartArray(key);
                    foreach (var item in list)
                        json.WriteStringValue(item);
                    json.WriteEndArray();
                    break;
                case string text:
                    json.WriteString(key, text);
                    break;
                default:
                    json.WriteNumber(key, Convert.ToInt64(value, null));
                    break;
            }
        }
        json.WriteEndObject();
    }
}

using System.Text.Json;
using Holdfast.Cli.Siege;
using Holdfast.Core.Approvals;
using Holdfast.Core.Codec;
using Holdfast.Core.Crypto;

namespace Holdfast.Server.Siege;

/// <summary>One approver's key of the two that it takes, and a client with the role `manage` to bring what it signs.</summary>
sealed class ApproverAttacks(Stage stage)
{
    const string One = "one approver of two";

    // Puts an approval together: what stands before each signature, and the signatures.
    const string Sign = """
        openssl pkeyutl -sign -inkey "$KEY1" -rawin -in signed -out sig1
        openssl pkeyutl -sign -inkey "$KEY2" -rawin -in signed -out sig2
        cat before1 sig1 before2 sig2 >request
        curl -sk --cert "$WHO" --max-time 15 -X POST --data-binary @request "$URL/v1/ask" -o answer -w '%{http_code}'
        """;

    public IEnumerable<Attack> All()
    {
        yield return new Attack("approver.policy", One, "have later snapshots locked for a day: sign for the second approver too", Expectation.Refused)
        {
            Script = Sign,
            On = () => Asking(second: 0),
            Judge = (target, _) => Taken(target),
            Control = "the same, with the second approver's own key",
            ControlOn = () => Asking(second: 1),
        };
        yield return new Attack("approver.alone", One, "the same, with the one signature alone", Expectation.Refused)
        {
            Script = """
                openssl pkeyutl -sign -inkey "$KEY1" -rawin -in signed -out sig1
                cat before sig1 >request
                curl -sk --cert "$WHO" --max-time 15 -X POST --data-binary @request "$URL/v1/ask" -o answer -w '%{http_code}'
                """,
            On = () => Asking(second: null),
            Judge = (target, _) => Taken(target),
            Control = "the same, with the second approver's own key",
            ControlScript = Sign,
            ControlOn = () => Asking(second: 1),
        };
    }

    /// <param name="second">Whose key signs in the second one's place; null for no second signature.</param>
    Target Asking(int? second)
    {
        var file = stage.Fresh("request");
        stage.Holdfast(["approval", "request", "policy", "--lock", "1d", "--out", file, "--vault", stage.Main.Vault]);
        var request = RequestFile.TryParse(File.ReadAllText(file), out var parsed) ? parsed : throw Tools.Broken("a request makes no sense");
        // The keys in the order in which their signatures have to stand.
        int[] order = Approver.Of(stage.Approvers[0].PublicKey).Id.CompareTo(Approver.Of(stage.Approvers[1].PublicKey).Id) < 0 ? [0, 1] : [1, 0];
        var people = (second is null ? [0] : order).Select(i => new ApprovalSignature(Approver.Of(stage.Approvers[i].PublicKey).Id, new byte[Ed25519Signer.SignatureSize])).ToList();
        var writer = new ByteWriter(); // docs/protocol.md, Keeper: the body of `ask`, kind 8
        writer.U8(1);
        writer.U8(8);
        writer.Bytes(new ApprovalObject(request.Request, Decision.Approved, people).ToArray());
        var body = writer.ToArray();
        string KeyOf(int person) => stage.Approvers[person == 1 && second == 0 ? 0 : person].Key;
        var target = Net.Keeper(stage, ("WHO", stage["desk/client.pem"]), ("KEY1", second is null ? stage.Approvers[0].Key : KeyOf(order[0])), ("KEY2", KeyOf(order[1])), ("REQUEST", request.Asked.Head.Id.ToString()));
        const int entry = 16 + Ed25519Signer.SignatureSize; // of one person: id and signature
        Stage.Write(target["signed"], ApprovalObject.SignedBytes(request.Request, Decision.Approved));
        if (second is null)
        {
            Stage.Write(target["before"], body.AsSpan(..^Ed25519Signer.SignatureSize));
            return target;
        }
        Stage.Write(target["before1"], body.AsSpan(..^(entry + Ed25519Signer.SignatureSize)));
        Stage.Write(target["before2"], body.AsSpan(body.Length - entry, 16));
        return target;
    }

    Finding Taken(Target target)
    {
        using var list = JsonDocument.Parse(stage.Holdfast(["approval", "list", "--json", "--vault", stage.Main.Vault]).Out);
        var isTaken = list.RootElement.GetProperty("requests").EnumerateArray().Any(r => r.GetProperty("request").GetString() == target.Names["REQUEST"]);
        return isTaken ? new Finding(true, false, "the log has the request as approved") : stage.Main.Look() is { IsHarm: true } harm ? harm : new Finding(false, false, "the log has no such approval");
    }
}

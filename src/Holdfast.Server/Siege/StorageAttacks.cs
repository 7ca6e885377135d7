using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Xml.Linq;
using Holdfast.Cli.Siege;
using Holdfast.Storage.S3;

namespace Holdfast.Server.Siege;

/// <summary>The credentials of the bucket, the keeper's own and its owner's, by curl past everything of Holdfast's. The controls are the same requests at the same bytes in a bucket of the attacker's own, locked in the
/// governance mode, which whoever may bypass it overrides.</summary>
sealed class StorageAttacks : IDisposable
{
    /// <summary>What is sent is signed; that it is not hashed first is what curl can do everywhere.</summary>
    const string Curl = "curl -s -K \"$CREDENTIAL\" --aws-sigv4 \"aws:amz:$REGION:s3\" --max-time 20 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -o answer -w '%{http_code} ' ";
    const string Bypass = "-H 'x-amz-bypass-governance-retention: true' ";
    const string Delete = Curl + Bypass + "-X DELETE \"$BUCKET/$KEY?versionId=$VERSION\"";
    const string Retain = "-H \"Content-MD5: $(openssl md5 -binary retention | base64)\" -X PUT --data-binary @retention \"$BUCKET/$KEY?retention=&versionId=$VERSION\"";

    readonly Stage _stage;
    readonly S3Place _place;
    readonly string _key;
    readonly string _version;
    readonly string _bytes; // a copy of the pack, at another site
    readonly DateTimeOffset _until;
    readonly List<(string Credential, string Url)> _buckets = [];

    public StorageAttacks(Stage stage)
    {
        _stage = stage;
        _place = S3Place.Parse(stage.Call.Store!);
        _key = $"{_place.Prefix}packs/{stage.Pack[..2]}/{stage.Pack}";
        Credential("keeper", stage.Call.StoreKey!);
        if (stage.Call.AttackerKey is { } owner)
            Credential("owner", owner);
        _version = Versions("keeper", Url(_place.Bucket), _key)[0].Version;
        _until = Retention("keeper", Url(_place.Bucket), _key, _version) ?? throw Tools.Broken("the lock of a pack cannot be read");
        _bytes = stage.Fresh("pack");
        Send("keeper", ["-o", _bytes, $"{Url(_place.Bucket)}/{_key}?versionId={_version}"]);
    }

    public IEnumerable<Attack> All()
    {
        foreach (var (name, who) in _stage.Call.AttackerKey is null ? [("keeper", "storage, keeper's")] : new[] { ("keeper", "storage, keeper's"), ("owner", "storage, owner's") })
        {
            yield return Row($"storage.{name}.delete", who, name, "remove a locked version, with bypass", Delete);
            yield return Row($"storage.{name}.shorten", who, name, "make its lock a governance lock of two minutes, with bypass", Curl + Bypass + Retain, Short) with { ControlJudge = (target, _) => Unlocked(target) };
            yield return Row($"storage.{name}.hide", who, name, "hide it behind a delete marker", Curl + "-X DELETE \"$BUCKET/$KEY\"") with { Control = "a reader that goes by the key, in a bucket of the attacker's", ControlJudge = ByKey };
            yield return Row($"storage.{name}.overwrite", who, name, "write junk over it", Curl + "-H \"Content-MD5: $(printf junk | openssl md5 -binary | base64)\" -X PUT --data-binary junk \"$BUCKET/$KEY\"") with { Control = "a reader that goes by the key, in a bucket of the attacker's", ControlJudge = ByKey };
        }
        if (_stage.Call.AttackerKey is not null)
        {
            // docs/design/0013-object-store.md: Ceph issue 63537; `init` says so of a service that has it.
            var wraps = _stage.InitWords.Contains("upper bits", StringComparison.Ordinal);
            yield return Row("storage.both.wrap", "storage, both", "keeper", "end its lock by a date that wraps around in 2106, with the keeper's; then remove it, with the owner's", Curl + Retain + "; CREDENTIAL=$OWNER; " + Delete, Late) with
            {
                Expected = wraps ? Expectation.Stated : Expectation.Refused,
                Answer = Brought,
            };
        }
    }

    Attack Row(string id, string who, string credential, string tries, string script, Action<Target>? prepare = null) => new(id, who, tries, Expectation.Refused)
    {
        Script = script,
        On = () => Prepared(At(credential, Url(_place.Bucket), _version, () => _stage.Main.Look()), prepare),
        Judge = (target, _) => Held(target),
        Control = "the same bytes in a bucket of the attacker's, in governance mode",
        ControlOn = () => Prepared(Loose(id.Contains("both", StringComparison.Ordinal) ? "owner" : credential), prepare),
    };

    static Target Prepared(Target target, Action<Target>? prepare)
    {
        prepare?.Invoke(target);
        return target;
    }

    static void Short(Target target) => Retention(target, "GOVERNANCE", TimeProvider.System.GetUtcNow().AddMinutes(2));

    /// <summary>2106-02-07 06:28:16 UTC is 2^32 seconds; an hour after that is an hour after 1970 to who drops the upper bits.</summary>
    static void Late(Target target) => Retention(target, "COMPLIANCE", DateTimeOffset.FromUnixTimeSeconds((1L << 32) + 3_600));

    static void Retention(Target target, string mode, DateTimeOffset until) => Stage.Write(target["retention"], Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture,
        $"<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{mode}</Mode><RetainUntilDate>{until.UtcDateTime:yyyy-MM-ddTHH:mm:ssZ}</RetainUntilDate></Retention>")));

    string Url(string bucket) => _place.IsPathStyle ? $"{_place.Endpoint.GetLeftPart(UriPartial.Authority)}/{bucket}" : $"{_place.Endpoint.Scheme}://{bucket}.{_place.Endpoint.Authority}";

    /// <summary>For curl, so that no secret stands in a command.</summary>
    void Credential(string name, string file)
    {
        var lines = File.ReadAllLines(file);
        var path = Config(name);
        Stage.Write(path, lines is [var id, var secret, ..] ? Encoding.ASCII.GetBytes($"user = \"{id}:{secret}\"\n") : throw Tools.Broken("a credential's file has no two lines"));
        Stage.SetMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    string Config(string name) => _stage[$"judge/{name}.curl"];

    Ran Send(string credential, params string[] arguments) =>
        _stage.Tools.Run("curl", ["-s", "-K", Config(credential), "--aws-sigv4", $"aws:amz:{_place.Region}:s3", "--max-time", "30", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-w", "%{http_code}", .. arguments], _stage.Folder);

    Target At(string credential, string bucket, string version, Func<Finding> look) => Net.At(_stage, "", _stage.Pack, look,
        ("CREDENTIAL", Config(credential)), ("OWNER", Config("owner")), ("REGION", _place.Region), ("BUCKET", bucket), ("KEY", _key), ("VERSION", version), ("AS", credential));

    /// <summary>A bucket of the attacker's own with the same bytes, locked for as long, but in governance mode.</summary>
    Target Loose(string credential)
    {
        var url = Url($"holdfast-siege-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}");
        if (Send(credential, "-X", "PUT", "-H", "x-amz-bucket-object-lock-enabled: true", "-o", _stage.Fresh("answer"), url).Out != "200")
            throw Tools.Broken($"the {credential}'s credential makes no bucket, which the control needs");
        _buckets.Add((credential, url));
        var until = string.Create(CultureInfo.InvariantCulture, $"{_until.UtcDateTime:yyyy-MM-ddTHH:mm:ssZ}");
        var md5 = _stage.Tools.Must("sh", ["-c", "openssl md5 -binary \"$1\" | base64", "sh", _bytes], _stage.Folder).Out.Trim();
        Send(credential, "-T", _bytes, "-H", $"Content-MD5: {md5}", "-H", "x-amz-object-lock-mode: GOVERNANCE", "-H", $"x-amz-object-lock-retain-until-date: {until}", "-o", _stage.Fresh("answer"), $"{url}/{_key}");
        var version = Versions(credential, url, _key) is [var one, ..] ? one.Version : throw Tools.Broken("the control's bucket takes no locked object");
        return At(credential, url, version, () => new Finding(false, false, "it is there"));
    }

    /// <summary>Whether that version's bytes are there, and locked as long as before; and what the vault says.</summary>
    Finding Held(Target target)
    {
        var (credential, isMain) = (target.Names["BUCKET"] == Url(_place.Bucket) ? "keeper" : target.Names["AS"], target.Names["BUCKET"] == Url(_place.Bucket));
        var read = _stage.Fresh("read");
        Send(credential, "-o", read, $"{target.Names["BUCKET"]}/{_key}?versionId={target.Names["VERSION"]}");
        if (!File.Exists(read) || Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(read))) != _stage.Pack)
            return isMain && _stage.Main.Look() is { IsHarm: true } told ? told with { Words = $"the version is gone; {told.Words}" } : new Finding(true, false, "the version is gone");
        var until = Retention(credential, target.Names["BUCKET"], _key, target.Names["VERSION"]);
        if (isMain && !(until >= _until))
            return new Finding(true, false, "its lock ends earlier, or is none of the compliance kind");
        return target.Look() is { IsHarm: true } harm ? harm : new Finding(false, false, "the version is there, locked as long as before; " + target.Look().Words);
    }

    Finding Unlocked(Target target)
    {
        var until = Retention(target.Names["AS"], target.Names["BUCKET"], _key, target.Names["VERSION"], "GOVERNANCE");
        return until < _until ? new Finding(true, false, "its lock ends earlier") : new Finding(false, false, "its lock is as it was");
    }

    Finding ByKey(Target target, Ran _)
    {
        var read = _stage.Fresh("read");
        Send(target.Names["AS"], "-o", read, $"{target.Names["BUCKET"]}/{_key}");
        return File.Exists(read) && Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(read))) == _stage.Pack ? new Finding(false, false, "the key gives the pack") : new Finding(true, false, "the key gives the pack no more");
    }

    /// <summary>The pack is put there again from a copy elsewhere.</summary>
    Finding Brought()
    {
        var md5 = _stage.Tools.Must("sh", ["-c", "openssl md5 -binary \"$1\" | base64", "sh", _bytes], _stage.Folder).Out.Trim();
        Send("keeper", "-T", _bytes, "-H", $"Content-MD5: {md5}", "-o", _stage.Fresh("answer"), $"{Url(_place.Bucket)}/{_key}");
        _stage.Try(["verify", "--vault", _stage.Main.Vault]); // locks it again, and says that it was not
        return _stage.Main.Look() is { IsHarm: false } sound ? sound with { Words = $"the pack was brought back from a copy at another site: {sound.Words}" } : new Finding(true, true, "a copy of the pack from another site does not mend it");
    }

    /// <summary>Of a key, newest first; markers have no bytes.</summary>
    List<(string Version, bool IsMarker)> Versions(string credential, string bucket, string key)
    {
        var answer = _stage.Fresh("versions");
        Send(credential, "-o", answer, $"{bucket}?prefix={Uri.EscapeDataString(key)}&versions=");
        try
        {
            return [.. XDocument.Load(answer).Root!.Elements().Where(e => e.Name.LocalName is "Version" or "DeleteMarker")
                .Select(e => (e.Elements().First(v => v.Name.LocalName == "VersionId").Value, e.Name.LocalName == "DeleteMarker"))];
        }
        catch (Exception e) when (e is System.Xml.XmlException or IOException or InvalidOperationException)
        {
            return [];
        }
    }

    /// <summary>When its lock ends; null where it has none of this mode.</summary>
    DateTimeOffset? Retention(string credential, string bucket, string key, string version, string mode = "COMPLIANCE")
    {
        var answer = _stage.Fresh("retention");
        Send(credential, "-o", answer, $"{bucket}/{key}?retention=&versionId={version}");
        try
        {
            var all = XDocument.Load(answer).Root!.Elements().ToDictionary(e => e.Name.LocalName, e => e.Value);
            return all.GetValueOrDefault("Mode") == mode && DateTimeOffset.TryParse(all.GetValueOrDefault("RetainUntilDate"), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var until) ? until : null;
        }
        catch (Exception e) when (e is System.Xml.XmlException or IOException)
        {
            return null;
        }
    }

    /// <summary>Takes the controls' buckets away again.</summary>
    public void Dispose()
    {
        foreach (var (credential, url) in _buckets)
        {
            foreach (var (version, _) in Versions(credential, url, _key))
                Send(credential, "-X", "DELETE", "-H", "x-amz-bypass-governance-retention: true", "-o", _stage.Fresh("answer"), $"{url}/{_key}?versionId={version}");
            Send(credential, "-X", "DELETE", "-o", _stage.Fresh("answer"), url);
        }
        _buckets.Clear();
    }
}

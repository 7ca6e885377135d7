using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Holdfast.Core;

namespace Holdfast.Server.Wire;

/// <summary>Certificates that sign themselves: who they belong to is told by their fingerprint, which people carry from one machine to the other, and by nothing that an authority says.</summary>
static class Identity
{
    static readonly TimeSpan Before = TimeSpan.FromDays(2); // clocks differ
    const int Years = 30; // it is taken away where its fingerprint stands, not by its date

    /// <summary>A new key (ECDSA, P-256) and its certificate, as PEM.</summary>
    /// <param name="name">In its subject: of nobody's concern.</param>
    public static string Make(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(new X500DistinguishedName($"CN={name}"), key, HashAlgorithmName.SHA256);
        var now = TimeProvider.System.GetUtcNow();
        using var certificate = request.CreateSelfSigned(now - Before, now.AddYears(Years));
        return $"{certificate.ExportCertificatePem()}\n{key.ExportPkcs8PrivateKeyPem()}\n";
    }

    /// <exception cref="HoldfastException"><c>KeyFileBad</c>.</exception>
    public static X509Certificate2 Read(string pem)
    {
        try
        {
            return X509Certificate2.CreateFromPem(pem, pem);
        }
        catch (CryptographicException e)
        {
            throw new HoldfastException(ErrorCode.KeyFileBad, "A certificate and its key, which prove who this machine is, cannot be read.", "Bring the file back from a copy; or make another identity, and have the other side know its fingerprint.", e);
        }
    }

    /// <summary>SHA-256 of a certificate, lower-case hexadecimal.</summary>
    public static string Fingerprint(X509Certificate certificate) => Convert.ToHexStringLower(SHA256.HashData(certificate.GetRawCertData()));
}

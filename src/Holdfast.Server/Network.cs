using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Holdfast.Cli;
using Holdfast.Cli.Witnesses;
using Holdfast.Core;
using Holdfast.Core.Log;
using Holdfast.Core.Storage;
using Holdfast.Server.Witnesses;
using Holdfast.Storage.S3;

namespace Holdfast.Server;

/// <summary>All that reaches over the network, or is reached over it.</summary>
sealed class Network : INetwork
{
    public IObjectStores Stores => S3Stores.Instance;

    public void Require()
    {
        // It is here.
    }

    public WitnessClient Witness(CosignerKey key, Uri url) => new HttpWitnessClient(key, url);

    public void Serve(Witness witness, IPEndPoint at, (string Certificate, string Key)? tls, Action<string> ready, Action<string> warn, CancellationToken ct)
    {
        using var certificate = tls is var (pem, key) ? Certificate(pem, key) : null;
        using var server = new WitnessServer(witness, warn);
        server.ServeAsync(at, certificate, ready, ct).GetAwaiter().GetResult();
    }

    static X509Certificate2 Certificate(string certificate, string key)
    {
        try
        {
            return X509Certificate2.CreateFromPem(certificate, key);
        }
        catch (CryptographicException e)
        {
            throw new HoldfastException(ErrorCode.KeyFileBad, "That certificate and key cannot be used.", "Both are PEM files; the key has no passphrase and is the certificate's own.", e);
        }
    }
}

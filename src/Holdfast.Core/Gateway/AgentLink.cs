using Holdfast.Core.Keys;
using Holdfast.Core.Log;

namespace Holdfast.Core.Gateway;

/// <summary>An agent's way to its gateway: proves who it is, again where the gateway has forgotten it.</summary>
/// <param name="gateway">The gateway.</param>
/// <param name="agent">Signs.</param>
/// <param name="logKey">Of the vault's log, as the agent has known it since it was enrolled.</param>
public sealed class AgentLink(IGateway gateway, AgentKey agent, VerifierKey logKey)
{
    public string Place => gateway.Place;
    public VerifierKey LogKey => logKey;

    /// <inheritdoc cref="IGateway.MostAtOnce"/>
    public int MostAtOnce => gateway.MostAtOnce;

    /// <exception cref="HoldfastException">What the gateway refuses it with; <c>WrongVault</c>: it is of another vault.</exception>
    public byte[] Ask(AgentRequest request)
    {
        try
        {
            return gateway.Ask(request);
        }
        catch (HoldfastException e) when (e.Code == ErrorCode.AgentUnproved)
        {
            Prove();
            return gateway.Ask(request);
        }
    }

    /// <summary>What a gateway says of itself, to whoever asks.</summary>
    /// <exception cref="HoldfastException"><c>StoreUnavailable</c>.</exception>
    public static AgentHello Hello(IGateway gateway) => AgentHello.Parse(gateway.Ask(new AgentRequest.Hello())) ?? throw Senseless();

    /// <summary>Shows that this connection is the agent's.</summary>
    public void Prove()
    {
        var hello = Hello(gateway);
        if (hello.Vault != agent.Vault || hello.LogKey != logKey.ToString())
            throw new HoldfastException(ErrorCode.WrongVault, $"The gateway at {Place} is of another vault than the one this agent was enrolled for.", "Treat it as an attack until shown otherwise. Where the agent is to back up elsewhere from now on, enrol it there, with a key folder of its own.");
        var (client, self) = gateway.Ends;
        gateway.Ask(new AgentRequest.Prove(agent.Agent, hello.Nonce, agent.Signer.Sign(AgentProof.SignedBytes(agent.Vault, agent.Agent, hello.Nonce, client, self))));
    }

    internal static HoldfastException Senseless() => new(ErrorCode.StoreUnavailable, "What the gateway answered makes no sense.", "Use the same release of holdfast on both machines, and look at what lies between them.");
}

using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Tests.Cli.Terminal;

public sealed class ProcessLimitsTests
{
    [Fact]
    public void Memory_that_is_not_given_and_libraries_that_cannot_be_loaded_are_no_defects()
    {
        foreach (var fault in new Exception[] { new InsufficientMemoryException(), new DllNotFoundException() })
        {
            foreach (var wrapped in new[] { fault, new AggregateException(fault), new TypeInitializationException("T", fault) })
                Assert.Equal(ErrorCode.SystemLimit, ProcessLimits.Of(wrapped)?.Code);
        }
        Assert.Null(ProcessLimits.Of(new InvalidOperationException()));
    }
}

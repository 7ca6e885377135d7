using System.CommandLine;
using Holdfast.Cli.Terminal;
using Holdfast.Core;

namespace Holdfast.Cli.Commands;

static class CompletionCommand
{
    static readonly Argument<string> ShellArgument = new("SHELL") { Description = "bash, zsh or fish. The script says where it goes." };

    static CompletionCommand() => ShellArgument.CompletionSources.Add("bash", "zsh", "fish");

    public static Command Create() => Session.Command("completion", "Print a script that lets a shell complete commands and options.", command => command.Arguments.Add(ShellArgument), session =>
    {
        var shell = session.Parsed.GetValue(ShellArgument)!;
        var (program, inFish) = (Shell.Word(Shell.ProgramAnywhere), Shell.FishWord(Shell.ProgramAnywhere));
        var script = shell switch
        {
            "bash" => $$"""
                # put this into ~/.bashrc:  eval "$({{program}} completion bash)"
                _holdfast() {
                    local IFS=$'\n' word="${COMP_WORDS[COMP_CWORD]}" found
                    found=$({{program}} "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)
                    [[ $word == -* ]] || found=$(grep -v '^-' <<<"$found")   # options are offered once a word begins with -; else commands, or files
                    COMPREPLY=($(compgen -W "$found" -- "$word"))
                }
                complete -o default -F _holdfast holdfast
                """,
            "zsh" => $$"""
                # put this into ~/.zshrc:  eval "$({{program}} completion zsh)"
                _holdfast() { local -a found; found=("${(@f)$({{program}} "[suggest:${CURSOR}]" "${BUFFER}" 2>/dev/null)}"); compadd -- $found; }
                compdef _holdfast holdfast
                """,
            "fish" => $$"""
                # put this into ~/.config/fish/completions/holdfast.fish:  {{inFish}} completion fish
                complete -c holdfast -a {{Shell.FishQuoted($"({inFish} \"[suggest:\"(commandline -C)\"]\" (commandline -p))")}}
                """,
            _ => throw new HoldfastException(ErrorCode.Usage, "That shell is not known.", "Choose bash, zsh or fish."),
        };
        session.Json(w =>
        {
            w.WriteString("shell", shell);
            w.WriteString("script", script);
        });
        session.Line(script);
        return 0;
    });
}

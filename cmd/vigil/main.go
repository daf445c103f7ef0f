// Command vigil is the whole of Vigil in one binary: the server, the demo and what an
// operator needs beside them. It is the only place where the parts are wired.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"vigil"
	"vigil/cmd/internal/metrics"
)

// What the build stamps (Makefile, .ci/release). Where it stamps no commit, Go's own record
// of it is told.
var (
	version = "dev"
	commit  = ""
	date    = "" // of the commit, so that the same commit gives the same program
)

// cli is the command line. Every setting is a flag and an environment variable.
type cli struct {
	Serve    serveCmd    `cmd:"" help:"Run the server."`
	Demo     demoCmd     `cmd:"" help:"Run the server with a demo LMS beside it, on this machine only."`
	Migrate  migrateCmd  `cmd:"" help:"Bring the store's schema up to date, or show where it stands."`
	Invite   inviteCmd   `cmd:"" help:"Make a one-time link by which an LMS registers itself (Dynamic Registration)."`
	Platform platformCmd `cmd:"" help:"List and change the registered platforms (LMSs)."`
	Exam     examCmd     `cmd:"" help:"List the exams."`
	Keys     keysCmd     `cmd:"" help:"List and rotate Vigil's own signing keys."`
	Export   exportCmd   `cmd:"" help:"Write everything of an exam or of a user, as JSON Lines or CSV."`
	Erase    eraseCmd    `cmd:"" help:"Erase one user: sessions, signals, gaps, commands, chat."`
	Audit    auditCmd    `cmd:"" help:"Verify and export the record of who did what."`
	Erasure  erasureCmd  `cmd:"" help:"Print or apply the list of what was erased."`
	Backup   backupCmd   `cmd:"" help:"Write a backup of a store into a file, also while servers run."`
	Restore  restoreCmd  `cmd:"" help:"Bring a backup back into a store that is not there yet."`
	Copy     copyCmd     `cmd:"" help:"Copy a whole store into another, and verify it."`
	Doctor   doctorCmd   `cmd:"" help:"Check what a server needs, and say what to do: store, keys, Redis, public URL, clock, WebSocket."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		slacken()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its process: it returns the exit code. 0 is success, 1 a
// failure at work, 2 a command line or a setting that makes no sense.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	var c cli
	env := environment(environ)
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("vigil"),
		kong.Description("Live proctoring for Moodle quizzes, as an LTI 1.3 tool.\n\nEvery flag is also an environment variable: --public-url is VIGIL_PUBLIC_URL. A flag counts more."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.Resolvers(env),
		kong.Bind(&streams{out: stdout, err: stderr}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil { // a mistake in our own struct tags
		fmt.Fprintln(stderr, "vigil:", err)
		return 2
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exit >= 0 { // --help
		return exit
	}
	if err != nil {
		fmt.Fprintln(stderr, "vigil:", forPeople(err))
		fmt.Fprintln(stderr, "Run `vigil --help`, or `vigil COMMAND --help` for a command's settings.")
		return 2
	}
	if err := env.unknown(parser.Model); err != nil {
		fmt.Fprintln(stderr, "vigil:", err)
		return 2
	}
	if err := k.Run(); err != nil {
		fmt.Fprintln(stderr, "vigil:", forPeople(err))
		if vigil.CodeOf(err) == vigil.CodeInvalid {
			return 2
		}
		return 1
	}
	return 0
}

// streams are where a command writes: answers to out, everything else to err.
type streams struct {
	out io.Writer
	err io.Writer
}

// tell writes a line about what is going on.
func (s *streams) tell(line string) { fmt.Fprintln(s.err, line) }

// sayf prints an answer.
func (s *streams) sayf(format string, args ...any) error {
	_, err := fmt.Fprintf(s.out, format, args...)
	return err
}

// forPeople words an error for the operator, who may see causes.
func forPeople(err error) string {
	var e *vigil.Error
	if !errors.As(err, &e) || e.Message == "" {
		return err.Error()
	}
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += " (" + e.Err.Error() + ")"
	}
	return s
}

type versionCmd struct{}

// Run prints the version, and what the program was built from and with.
func (versionCmd) Run(s *streams) error {
	return s.sayf("vigil %s (%s)\n", version, strings.Join(builtFrom(buildInfo(), commit, date), ", "))
}

func buildInfo() *debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info
	}
	return &debug.BuildInfo{}
}

// build is what the metrics say of the program.
func build() metrics.Build {
	info := buildInfo()
	at, _ := commitOf(info, commit, date)
	return metrics.Build{Version: version, Commit: at, GoVersion: info.GoVersion}
}

// commitOf is the stamped commit with its date, or that of Go's own record.
func commitOf(info *debug.BuildInfo, commit, date string) (string, string) {
	if commit == "" {
		modified := false
		for _, v := range info.Settings {
			switch v.Key {
			case "vcs.revision":
				commit = v.Value
			case "vcs.time":
				date = v.Value
			case "vcs.modified":
				modified = v.Value == "true"
			}
		}
		if modified {
			commit += " and changes"
		}
	}
	return commit, date
}

// builtFrom lists commit, date and Go version, as far as they are known.
func builtFrom(info *debug.BuildInfo, commit, date string) []string {
	var out []string
	commit, date = commitOf(info, commit, date)
	if commit != "" {
		out = append(out, "commit "+commit)
	}
	if date != "" {
		out = append(out, date)
	}
	return append(out, info.GoVersion)
}

package main

import (
	"context"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"unicode/utf8"

	"vigil"
)

// maxLogText bounds a text in the log: some are of others' choosing.
const maxLogText = 500

// logSettings say what is logged.
type logSettings struct {
	LogLevel  string `help:"Least level that is logged: debug, info, warn, error." enum:"debug,info,warn,error" default:"info"`
	LogFormat string `help:"json or text." enum:"json,text" default:"json"`
}

// logger writes to w; repeated faults are counted. stop writes the counts that are still
// open; until then a goroutine of the logger runs.
func (l logSettings) logger(w io.Writer) (log *slog.Logger, stop func()) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.LogLevel)); err != nil { // kong's enum has checked it
		level = slog.LevelInfo
	}
	h, stop := newRepeats(logHandler(w, l.LogFormat, level))
	return slog.New(h), stop
}

// logHandler writes lines as JSON, or as text for people.
func logHandler(w io.Writer, format string, level slog.Level) slog.Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: printed}
	if format == "text" {
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
}

// ends are those of a connection in an error of package net: one of them is a person's
// browser, or a server whose address is in the settings.
var ends = regexp.MustCompile(` \S+->[^\s,;]*[^\s,;:]`)

// printed writes durations the same way in both formats, cuts long texts and leaves out
// network addresses of browsers. slog's handlers escape what could look like another line.
func printed(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(vigil.Span(a.Value.Duration()))
	case slog.KindString:
		a.Value = slog.StringValue(short(a.Value.String()))
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(short(ends.ReplaceAllString(err.Error(), "")))
		}
	}
	return a
}

// short cuts a text to maxLogText bytes, between characters.
func short(text string) string {
	most := maxLogText
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// httpLog tells apart what net/http says: a handler of ours that panicked, and clients that
// break off, which is of interest only to who looks for it.
type httpLog struct{ log *slog.Logger }

// Enabled implements slog.Handler.
func (l httpLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l httpLog) Handle(ctx context.Context, r slog.Record) error {
	what, stack, _ := strings.Cut(r.Message, "\n")
	switch {
	case strings.Contains(what, "panic serving"):
		_, what, _ = strings.Cut(what, "panic serving ")
		_, what, _ = strings.Cut(what, ": ") // the browser's address
		l.log.ErrorContext(ctx, "a request panicked", "error", what, "stack", strings.Split(stack, "\n"))
	case !strings.Contains(what, "TLS handshake error"):
		l.log.DebugContext(ctx, "HTTP server", "said", what)
	}
	return nil
}

// WithAttrs implements slog.Handler; a log.Logger has none.
func (l httpLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler; a log.Logger has none.
func (l httpLog) WithGroup(string) slog.Handler { return l }

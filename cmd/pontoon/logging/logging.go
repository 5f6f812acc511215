package logging

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names of outputs that are no files.
const (
	Default = "default" // stderr
	Stderr  = "stderr"
	Stdout  = "stdout"
	Journal = "systemd/journal"
)

// Formats of lines.
const (
	JSON    = "json"
	Console = "console"
)

// Levels above Error that etcd knows; nothing here logs at them.
const (
	levelPanic = slog.LevelError + 4
	levelFatal = slog.LevelError + 8
)

// Options say what is logged where.
type Options struct {
	Logger  string   // "zap", the one name that etcd takes
	Level   string   // debug, info, warn, error, panic, fatal
	Format  string   // json or console
	Outputs []string // default, stderr, stdout or files

	Rotate   bool   // the one file among Outputs
	Rotation string // JSON: maxsize (MB), maxage (days), maxbackups, localtime, compress
}

// Defaults are etcd's.
func Defaults() Options {
	return Options{
		Logger: "zap", Level: "info", Format: JSON, Outputs: []string{Default},
		Rotation: `{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}`,
	}
}

// Log is an open log.
type Log struct {
	*slog.Logger
	closers []io.Closer
}

// Close closes the files.
func (l *Log) Close() {
	for _, c := range l.closers {
		c.Close()
	}
}

// Open opens the log, or says what contradicts itself (I1).
func Open(o Options) (*Log, error) {
	switch o.Logger {
	case "zap":
	case "capnslog":
		return nil, errors.New("--logger=capnslog is removed in v3.5")
	default:
		return nil, fmt.Errorf("unknown logger option %q", o.Logger)
	}
	level, err := ParseLevel(o.Level)
	if err != nil {
		return nil, err
	}
	if o.Format != JSON && o.Format != Console && o.Format != "" {
		return nil, fmt.Errorf("unknown log format: %s, supported values json, console", o.Format)
	}
	log := &Log{}
	w, err := log.open(o)
	if err != nil {
		log.Close()
		return nil, err
	}
	log.Logger = slog.New(handler(w, o.Format, level))
	return log, nil
}

// ParseLevel reads one of etcd's levels.
func ParseLevel(text string) (slog.Level, error) {
	switch strings.ToLower(text) {
	case "debug":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	case "panic", "dpanic":
		return levelPanic, nil
	case "fatal":
		return levelFatal, nil
	}
	return 0, fmt.Errorf("--log-level must be debug, info, warn, error, panic or fatal (set to %q)", text)
}

func (l *Log) open(o Options) (io.Writer, error) {
	outputs := o.Outputs
	if len(outputs) == 0 {
		outputs = []string{Default}
	}
	if len(outputs) > 1 && slices.Contains(outputs, Default) {
		return nil, fmt.Errorf("multi logoutput for %q is not supported yet", Default)
	}
	var rotate *rotation
	if o.Rotate {
		var err error
		if rotate, err = parseRotation(outputs, o.Rotation); err != nil {
			return nil, err
		}
	}
	var writers []io.Writer
	for _, out := range outputs {
		switch out {
		case Default, Stderr:
			writers = append(writers, os.Stderr)
		case Stdout:
			writers = append(writers, os.Stdout)
		case Journal:
			return nil, errors.New("--log-outputs=systemd/journal is not supported: log to stderr, which systemd passes on to the journal")
		default:
			file, err := rotate.open(out)
			if err != nil {
				return nil, fmt.Errorf("--log-outputs: %w", err)
			}
			l.closers = append(l.closers, file)
			writers = append(writers, file)
		}
	}
	if len(writers) == 1 {
		return writers[0], nil
	}
	return io.MultiWriter(writers...), nil
}

// timeFormat is that of etcd's "ts".
const timeFormat = "2006-01-02T15:04:05.000000Z0700"

func handler(w io.Writer, format string, level slog.Level) slog.Handler {
	o := &slog.HandlerOptions{Level: level, AddSource: true, ReplaceAttr: asEtcd}
	if format == Console {
		return slog.NewTextHandler(w, o)
	}
	return slog.NewJSONHandler(w, o)
}

// asEtcd gives the fields that every line has etcd's names and forms.
func asEtcd(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		if t, ok := a.Value.Any().(time.Time); ok {
			return slog.String("ts", t.Format(timeFormat))
		}
	case slog.LevelKey:
		return slog.String(slog.LevelKey, strings.ToLower(a.Value.String()))
	case slog.SourceKey:
		if at, ok := a.Value.Any().(*slog.Source); ok {
			if at.File == "" {
				return slog.Attr{} // made without a place
			}
			return slog.String("caller", caller(at))
		}
	}
	return a
}

// caller is the file, its directory before it, and the line: the form of etcd's "caller".
func caller(at *slog.Source) string {
	dir, file := filepath.Split(at.File)
	return filepath.Join(filepath.Base(dir), file) + ":" + strconv.Itoa(at.Line)
}

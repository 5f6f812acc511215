package rangeraft

import (
	"context"
	"log/slog"

	"github.com/pontoon-kv/pontoon/proto"
)

// rangeLogger says of which range a message is. The logger that does so is made
// when there is a message: most ranges are idle, and it would take more memory
// than much of the replica.
type rangeLogger struct {
	l  *slog.Logger
	id proto.RangeID
}

func (r rangeLogger) Debug(msg string, args ...any) { r.log(slog.LevelDebug, msg, args...) }
func (r rangeLogger) Info(msg string, args ...any)  { r.log(slog.LevelInfo, msg, args...) }
func (r rangeLogger) Warn(msg string, args ...any)  { r.log(slog.LevelWarn, msg, args...) }
func (r rangeLogger) Error(msg string, args ...any) { r.log(slog.LevelError, msg, args...) }

func (r rangeLogger) enabled(level slog.Level) bool { return r.l.Enabled(context.Background(), level) }

func (r rangeLogger) log(level slog.Level, msg string, args ...any) {
	if r.enabled(level) {
		r.l.With(slog.Uint64("range", uint64(r.id))).Log(context.Background(), level, msg, args...)
	}
}

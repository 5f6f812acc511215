package rangeraft

import (
	"fmt"
	"log/slog"
)

// raftLogger shows raft's own messages: its routine at debug level, since a
// node has many groups, its warnings as they are.
type raftLogger struct{ l rangeLogger }

func (r raftLogger) log(level slog.Level, msg func() string) {
	if r.l.enabled(level) {
		r.l.log(level, msg())
	}
}

func (r raftLogger) Debug(v ...any) {
	r.log(slog.LevelDebug-4, func() string { return fmt.Sprint(v...) })
}
func (r raftLogger) Debugf(f string, v ...any) {
	r.log(slog.LevelDebug-4, func() string { return fmt.Sprintf(f, v...) })
}
func (r raftLogger) Info(v ...any) { r.log(slog.LevelDebug, func() string { return fmt.Sprint(v...) }) }
func (r raftLogger) Infof(f string, v ...any) {
	r.log(slog.LevelDebug, func() string { return fmt.Sprintf(f, v...) })
}
func (r raftLogger) Warning(v ...any) {
	r.log(slog.LevelDebug, func() string { return fmt.Sprint(v...) })
}
func (r raftLogger) Warningf(f string, v ...any) {
	r.log(slog.LevelDebug, func() string { return fmt.Sprintf(f, v...) })
}
func (r raftLogger) Error(v ...any) {
	r.log(slog.LevelError, func() string { return fmt.Sprint(v...) })
}
func (r raftLogger) Errorf(f string, v ...any) {
	r.log(slog.LevelError, func() string { return fmt.Sprintf(f, v...) })
}
func (r raftLogger) Fatal(v ...any)            { panic(fmt.Sprint(v...)) }
func (r raftLogger) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
func (r raftLogger) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (r raftLogger) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }

package etcdflags

import (
	"errors"
	"fmt"
)

// Bound are settings and the flags that set them.
type Bound struct {
	*Settings
	Notes []Note // for the log, once it is open

	values map[string]Value
	set    map[string]bool // by name, explicitly
}

// Note is a line for the log.
type Note struct {
	Warning bool
	Text    string
	Attrs   []any
}

// Bind makes the flags of settings.
func Bind(s *Settings) *Bound {
	b := &Bound{Settings: s, values: map[string]Value{}, set: map[string]bool{}}
	all(func(f *Flag) { b.values[f.Name] = f.Make(s) })
	return b
}

// Each calls fn for every flag, etcd's first.
func (b *Bound) Each(fn func(*Flag, Value)) {
	all(func(f *Flag) { fn(f, b.values[f.Name]) })
}

// MarkSet notes that a flag was set explicitly.
func (b *Bound) MarkSet(name string) { b.set[name] = true }

func (b *Bound) note(text string, attrs ...any) {
	b.Notes = append(b.Notes, Note{Text: text, Attrs: attrs})
}

func (b *Bound) warn(text string, attrs ...any) {
	b.Notes = append(b.Notes, Note{Warning: true, Text: text, Attrs: attrs})
}

// Check refuses what the table refuses and what contradicts itself, warns of
// what has no effect, and sets what follows from more than one flag.
func (b *Bound) Check() error {
	if b.fallback == "proxy" {
		return fmt.Errorf("v2 proxy is deprecated, and --discovery-fallback can't be configured as %q", "proxy")
	}
	if err := b.Node.Discovery.Check(); err != nil {
		return err
	}
	if b.Gates.enabled("LeaseCheckpointPersist") && !b.Gates.enabled("LeaseCheckpoint") {
		return errors.New("enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint")
	}
	if b.compactHashCheck <= 0 {
		return fmt.Errorf("--compact-hash-check-time must be >0 (set to %v)", b.compactHashCheck)
	}
	if err := b.classify(); err != nil {
		return err
	}
	for _, w := range b.Gates.warnings() {
		b.warn(w)
	}
	b.Node.LeaseCheckpoint = b.Gates.enabled("LeaseCheckpoint")
	if b.Tracing {
		b.Node.Tracing.Endpoint = b.endpoint
	}
	if b.Log.Level == "debug" { // as in etcd
		b.Node.EnablePprof = true
	}
	return nil
}

// classify ends a start that asks for what is refused, and warns of what has no
// effect; a flag that is set to its default asks for nothing.
func (b *Bound) classify() (refused error) {
	b.Each(func(f *Flag, v Value) {
		if refused != nil || !b.set[f.Name] || v.String() == f.Make(Etcd()).String() {
			return
		}
		switch f.Class {
		case Refused:
			refused = fmt.Errorf("--%s is not supported: %s", f.Name, f.Why)
		case Ignored:
			b.warn(fmt.Sprintf("--%s has no effect: %s", f.Name, f.Why))
		}
	})
	return refused
}

package etcdflags

import (
	"encoding/json"
)

// Class is what becomes of a flag.
type Class int

const (
	// Obeyed: it does what it does in etcd, but for what Why says.
	Obeyed Class = iota
	// Ignored: it is read, and has no effect because of Why.
	Ignored
	// Refused: a start that asks for it ends with Why.
	Refused
)

// Flag is a row of the table.
type Flag struct {
	Name  string
	Class Class
	Why   string // it is not obeyed, or obeyed otherwise than in etcd
	Usage string
	Make  func(*Settings) Value
	Key   string // in a configuration file, dotted where nested; default: Name
	NoKey bool   // not in configuration files
}

// Value reads one setting. It is a flag.Value and a pflag.Value.
type Value interface {
	Set(string) error
	String() string
	Type() string
	IsBoolFlag() bool
	// SetJSON reads what a configuration file says.
	SetJSON(json.RawMessage) error
}

// Section is a heading of the help, with its rows.
type Section struct {
	Title string
	Flags []Flag
}

// Table returns etcd's flags.
func Table() []Section {
	return []Section{
		{"Member", member}, {"Clustering", clustering}, {"Discovery", discovery}, {"Security", security}, {"Auth", authentication},
		{"Profiling and Monitoring", monitoring}, {"Logging", logs}, {"Distributed tracing", tracing},
		{"Features", features}, {"Unsafe feature", unsafeFlags},
	}
}

// Own returns the flags that etcd has not.
func Own() Section { return Section{"Pontoon", own} }

func key(f *Flag) string {
	if f.Key != "" {
		return f.Key
	}
	return f.Name
}

// all calls fn for every row, etcd's first.
func all(fn func(*Flag)) {
	for _, s := range append(Table(), Own()) {
		for i := range s.Flags {
			fn(&s.Flags[i])
		}
	}
}

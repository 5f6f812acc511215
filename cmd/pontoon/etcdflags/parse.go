package etcdflags

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// Invocation is what one start asks for.
type Invocation struct {
	*Bound
	Version    bool   // print it and exit
	ConfigFile string // that was read; empty: none
}

// ErrHelp is returned for -h and --help.
var ErrHelp = flag.ErrHelp

// UsageError is a command line that cannot be read; what is wrong was written
// to where usage goes.
type UsageError struct{ error }

// Unwrap lets ErrHelp be found.
func (e UsageError) Unwrap() error { return e.error }

// retired are flags of old that etcd still takes and forgets.
var retired = []string{
	"cluster-active-size", "cluster-remove-delay", "cluster-sync-interval", "config", "force", "max-result-buffer",
	"max-retry-attempts", "peer-heartbeat-interval", "peer-election-timeout", "retry-interval", "snapshot", "v", "vv",
	"test.coverprofile", "test.outputdir",
}

// Parse reads a command line of etcd, and the environment or the file that it
// names. usage is where the usage of a wrong line goes. The error of settings
// that contradict each other comes with the invocation, for its log.
func Parse(args, environ []string, usage io.Writer) (*Invocation, error) {
	inv := &Invocation{Bound: Bind(Etcd())}
	fs := flag.NewFlagSet("etcd", flag.ContinueOnError)
	fs.SetOutput(usage)
	fs.Usage = func() { fmt.Fprintln(usage, strings.TrimLeft(usageText, "\n")) }
	fs.BoolVar(&inv.Version, "version", false, "print the version and exit")
	fs.StringVar(&inv.ConfigFile, "config-file", "", "file to read all settings from")
	inv.Each(func(f *Flag, v Value) { fs.Var(v, f.Name, f.Usage) })
	for _, name := range retired {
		fs.BoolFunc(name, "", func(string) error {
			inv.warn("flag is no longer supported - ignoring", "flag-name", name)
			return nil
		})
	}
	if err := fs.Parse(args); err != nil {
		return nil, UsageError{err}
	}
	if fs.NArg() > 0 {
		return inv, fmt.Errorf("%q is not a valid flag", fs.Arg(0))
	}
	fs.Visit(func(f *flag.Flag) { inv.MarkSet(f.Name) })
	if inv.Version {
		return inv, nil
	}
	return inv, inv.complete(fs, environ)
}

// complete adds environment or file (I3), and checks the whole.
func (i *Invocation) complete(fs *flag.FlagSet, environ []string) error {
	env := parseEnviron(environ)
	if i.ConfigFile == "" {
		i.ConfigFile = env[envName("config-file")]
	}
	if i.ConfigFile != "" {
		if err := i.fromFile(i.ConfigFile); err != nil {
			return err
		}
		i.note("loaded server configuration, other configuration command line flags and environment variables will be ignored if provided",
			"path", i.ConfigFile)
	} else if err := i.fromEnviron(fs, env); err != nil {
		return err
	}
	if err := i.Check(); err != nil {
		return err
	}
	if i.Node.DataDir == "" {
		i.Node.DataDir = i.Node.Name + ".etcd"
		i.warn("'data-dir' was empty; using default", "data-dir", i.Node.DataDir)
	}
	return nil
}

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/pontoon-kv/pontoon/bench/cluster"
	"github.com/pontoon-kv/pontoon/bench/suite"
)

// Command is one entry of the harness.
type Command struct {
	Name  string
	Short string
	Long  string
	// Hidden commands are started by others, not by people.
	Hidden bool
	// Flags are the command's own; parse them before Run.
	Flags *flag.FlagSet
	// Run does the work. The report goes to out, progress to progress.
	Run func(ctx context.Context, out, progress io.Writer) error
}

// Commands returns fresh commands.
func Commands() []Command {
	commands := []Command{loadCommand(), robustCommand(), runCommand(), renderCommand(), checkCommand(), compareCommand(),
		progressCommand(), gapsCommand(), idleCommand(), limitsCommand(), scaleoutCommand(), overloadCommand(), greedyCommand(), restartCommand(), echoServerCommand()}
	for _, c := range commands {
		c.Flags.SetOutput(io.Discard) // the command line says what is wrong
	}
	return commands
}

// textWriter is a report that can print itself for people.
type textWriter interface{ WriteText(io.Writer) }

// output is --output, which all commands have.
type output struct{ format string }

func (o *output) register(fs *flag.FlagSet) {
	fs.StringVar(&o.format, "output", "text", "text or json")
}

func (o *output) validate() error {
	if o.format != "text" && o.format != "json" {
		return fmt.Errorf("--output must be text or json (set to %q)", o.format)
	}
	return nil
}

// details is where a run tells what it does while it goes on: with JSON only
// the report goes to out.
func (o *output) details(out, progress io.Writer) io.Writer {
	if o.format == "json" {
		return progress
	}
	return out
}

// report runs a measurement and prints what it found, also when it ended early.
func report[O, R any, P interface {
	*R
	textWriter
}](ctx context.Context, o *output, out, progress io.Writer, run func(context.Context, io.Writer, O) (*R, error), options O) error {
	if err := o.validate(); err != nil {
		return err
	}
	rep, err := run(ctx, o.details(out, progress), options)
	if rep == nil {
		return err
	}
	return o.print(out, P(rep), err)
}

// steps is -v of the commands that steer a cluster.
type steps bool

func (s *steps) register(fs *flag.FlagSet) {
	fs.BoolVar((*bool)(s), "v", false, "tell every step as it happens")
}

// logger is nil unless the steps are to be told.
func (s steps) logger(to io.Writer) *slog.Logger {
	if !s {
		return nil
	}
	return slog.New(slog.NewTextHandler(to, nil))
}

// print writes a report that may be incomplete and passes the run's error on.
func (o *output) print(out io.Writer, report textWriter, runErr error) error {
	if o.format == "text" {
		report.WriteText(out)
		return runErr
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return errors.Join(enc.Encode(report), runErr)
}

// list is a flag of several values, separated by commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	*l = strings.Split(s, ",")
	return nil
}

// counts is a flag of several positive numbers, separated by commas.
type counts []int

func (c *counts) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(*c)), " ", ","), "[]")
}

func (c *counts) Set(s string) error {
	var out counts
	for part := range strings.SplitSeq(s, ",") {
		var n int
		if _, err := fmt.Sscanf(part, "%d", &n); err != nil || n < 1 || fmt.Sprint(n) != part {
			return fmt.Errorf("%q is not a positive number", part)
		}
		out = append(out, n)
	}
	*c = out
	return nil
}

// binaries are the flags that name executables.
type binaries struct{ pontoon, etcd string }

func (b *binaries) register(fs *flag.FlagSet) {
	b.registerPontoon(fs)
	fs.StringVar(&b.etcd, "etcd", "bin/etcd", "etcd binary to compare with")
}

func (b *binaries) registerPontoon(fs *flag.FlagSet) {
	self, err := os.Executable()
	if err != nil {
		self = "bin/pontoon"
	}
	fs.StringVar(&b.pontoon, "pontoon", self, "pontoon binary")
}

// fill names the two systems that are started here.
func (b *binaries) fill(o *suite.Options) {
	o.Subject = suite.System{Name: "pontoon", System: cluster.System{Kind: cluster.Pontoon, Binary: b.pontoon}}
	o.Baseline = &suite.System{Name: "etcd", System: cluster.System{Kind: cluster.Etcd, Binary: b.etcd}}
}

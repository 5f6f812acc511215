package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// fromEnvironment sets every flag that the command line left alone from
// PONTOON_NAME or, failing that, ETCD_NAME (dashes become underscores), as
// etcd does with its own.
func fromEnvironment(flags *pflag.FlagSet) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || failed != nil {
			return
		}
		suffix := strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		for _, prefix := range []string{"PONTOON_", "ETCD_"} {
			v, ok := os.LookupEnv(prefix + suffix)
			if !ok || v == "" {
				continue
			}
			if err := flags.Set(f.Name, v); err != nil {
				failed = fmt.Errorf("invalid value %q for %s%s: %w", v, prefix, suffix, err)
			}
			return
		}
	})
	return failed
}

package etcdflags

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const envPrefix = "ETCD_"

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// parseEnviron returns etcd's part of an environment; what is empty is not set.
func parseEnviron(environ []string) map[string]string {
	env := map[string]string{}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(k, envPrefix) {
			env[k] = v
		}
	}
	return env
}

// notFlags are variables of etcd that are no flags.
var notFlags = []string{"ETCD_UNSUPPORTED_ARCH"}

// fromEnviron sets what the command line left alone. A variable beside the flag
// of its name ends the start, as in etcd: one of the two is not meant.
func (i *Invocation) fromEnviron(fs *flag.FlagSet, env map[string]string) error {
	used := map[string]bool{}
	var failed error
	fs.VisitAll(func(f *flag.Flag) {
		name := envName(f.Name)
		val := env[name]
		switch {
		case i.set[f.Name]:
			if _, there := env[name]; there && failed == nil {
				failed = fmt.Errorf("conflicting environment variable is shadowed by corresponding command-line flag "+
					"(either unset environment variable or disable flag)): %s", name)
			}
			used[name] = true
			return
		case val == "" || f.Name == "version":
			return
		}
		used[name] = true
		if err := f.Value.Set(val); err != nil {
			failed = fmt.Errorf("invalid value %q for %s: %w", val, name, err)
			return
		}
		i.set[f.Name] = true
		i.note("recognized and used environment variable", "variable-name", name, "variable-value", val)
	})
	if failed != nil {
		return failed
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !used[name] && !slices.Contains(notFlags, name) {
			i.warn("unrecognized environment variable", "environment-variable", name+"="+env[name])
		}
	}
	return nil
}

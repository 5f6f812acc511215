package etcdflags

import (
	"fmt"
	"io"
	"strings"
)

const usageText = `
Usage:

  etcd [flags]
    Start a node.

  etcd --version
    Show the versions of etcd's API and of Pontoon.

  etcd -h | --help
    Show this help.

  etcd --config-file FILE
    Take all settings from a file in etcd's format; flags and environment are
    not read then. Durations are written in nanoseconds there.

  etcd gateway | grpc-proxy
    Not here: every node serves every key.
`

// Help writes all flags.
func Help(w io.Writer) {
	fmt.Fprint(w, strings.TrimLeft(usageText, "\n"))
	s := Etcd()
	for _, section := range append(Table(), Own()) {
		fmt.Fprintf(w, "\n%s:\n", section.Title)
		for i := range section.Flags {
			f := &section.Flags[i]
			fmt.Fprintf(w, "  --%s '%s'\n    %s\n", f.Name, f.Make(s), f.Usage)
			if f.Class != Obeyed {
				fmt.Fprintf(w, "    %s: %s.\n", f.Class, f.Why)
			}
		}
	}
}

// String names the class for people.
func (c Class) String() string {
	return [...]string{"obeyed", "No effect", "Not supported"}[c]
}

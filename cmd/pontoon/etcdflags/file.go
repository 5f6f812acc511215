package etcdflags

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// fromFile takes all settings from a file in etcd's format, and none from
// elsewhere (I3).
func (i *Invocation) fromFile(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	doc, err := yaml.YAMLToJSON(b)
	if err != nil {
		return err
	}
	keys := map[string]json.RawMessage{}
	if err := flatten(doc, "", keys); err != nil {
		return err
	}
	i.forget()
	known := map[string]bool{}
	each := func(f *Flag) {
		if raw, there := keys[key(f)]; there && !f.NoKey && err == nil {
			known[key(f)] = true
			i.set[f.Name] = true
			if err = i.values[f.Name].SetJSON(raw); err != nil {
				err = fmt.Errorf("error unmarshaling JSON: while decoding JSON: %s: %w", key(f), err)
			}
		}
	}
	all(each)
	for n := range fileOnly {
		i.values[fileOnly[n].Name] = fileOnly[n].Make(i.Settings)
		each(&fileOnly[n])
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if !known[k] && err == nil { // etcd says nothing; a misspelt key should not go unseen
			i.warn("unrecognized key in the configuration file", "key", k)
		}
	}
	return err
}

// forget drops what the command line said.
func (i *Invocation) forget() {
	i.Bound = Bind(Etcd())
}

// groups are the keys that hold keys.
var groups = []string{
	"client-transport-security", "peer-transport-security", "socket-options",
	"discovery-config", "discovery-config.client", "discovery-config.client.secure", "discovery-config.client.auth",
}

// flatten collects the keys of an object, dotted where one holds others.
func flatten(doc json.RawMessage, prefix string, into map[string]json.RawMessage) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(doc, &object); err != nil {
		return fmt.Errorf("invalid %s", cmp.Or(strings.TrimSuffix(prefix, "."), "configuration file"))
	}
	for k, raw := range object {
		if slices.Contains(groups, prefix+k) {
			if err := flatten(raw, prefix+k+".", into); err != nil {
				return err
			}
			continue
		}
		into[prefix+k] = raw
	}
	return nil
}

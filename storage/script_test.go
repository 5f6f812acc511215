package storage

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/pontoon-kv/pontoon/proto"
	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
	"github.com/pontoon-kv/pontoon/storage/keys"
)

// TestScript runs the scripts in testdata: one range, one verb a step.
func TestScript(t *testing.T) {
	datadriven.Walk(t, "testdata/script", func(t *testing.T, path string) {
		e := openMem(t)
		createRange(t, e, 3, keys.UserSpan)
		d := e.StartDropper(DropperOptions{PerSecond: 1 << 30})
		t.Cleanup(d.Close)
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			switch td.Cmd {
			case "apply":
				return runApply(t, e, td)
			case "drop":
				check(t, <-d.Request(3))
				return strings.Join(stored(t, e), " ") + "\n"
			case "flush":
				check(t, e.db.Flush())
				return ""
			}
			return runRead(t, e, td)
		})
	})
}

// runApply applies one entry: an effect a line, "kind key name=value ...".
func runApply(t *testing.T, e *Engine, td *datadriven.TestData) string {
	var effects []*pontoonpb.Effect
	for _, line := range strings.Split(td.Input, "\n") {
		words := strings.Fields(line)
		kind := pontoonpb.EffectKind(pontoonpb.EffectKind_value["EFFECT_"+strings.ToUpper(words[0])])
		ef := &pontoonpb.Effect{Kind: kind, Key: user("%s", words[1])}
		for _, w := range words[2:] {
			name, value, _ := strings.Cut(w, "=")
			n := new(int64)
			fmt.Sscan(value, n)
			switch name {
			case "end":
				ef.End = user("%s", value)
			case "value":
				ef.Value = []byte(value)
			case "fresh":
				ef.Fresh = true
			default:
				*map[string]*int64{
					"rev": &ef.Rev, "sub": &ef.Sub, "create": &ef.CreateRevision, "version": &ef.Version,
					"lease": &ef.Lease, "prev": &ef.PrevLease,
				}[name] = *n
			}
		}
		effects = append(effects, ef)
	}
	var out strings.Builder
	for _, ev := range apply(t, e, 3, effects...).Events {
		kv := ev.Event.Kv
		fmt.Fprintf(&out, "%s %s@%d.%d create=%d version=%d lease=%d %q\n",
			ev.Event.Type, kv.Key, kv.ModRevision, ev.Sub, kv.CreateRevision, kv.Version, kv.Lease, kv.Value)
	}
	s := e.Log(3).Applied()
	fmt.Fprintf(&out, "live=%d floor=%d\n", s.LiveKeys, s.Floor)
	return out.String()
}

// runRead serves the verbs that read: scan, changes, leases.
func runRead(t *testing.T, e *Engine, td *datadriven.TestData) string {
	var out strings.Builder
	v := must(e.NewView())(t)
	defer v.Close()
	span := keys.UserSpan
	if td.HasArg("start") {
		var s, n string
		td.ScanArgs(t, "start", &s)
		td.ScanArgs(t, "end", &n)
		span = proto.Span{Start: user("%s", s), End: user("%s", n)}
	}
	number := func(name string, otherwise int64) int64 {
		n := otherwise
		td.MaybeScanArgs(t, name, &n)
		return n
	}
	show := func(ver *Version) (bool, error) {
		fmt.Fprintf(&out, "%s@%d.%d tombstone=%v %q\n", ver.Key[1:], ver.ModRevision, ver.Sub, ver.Tombstone, ver.Value)
		return true, nil
	}
	switch td.Cmd {
	case "scan":
		rev := proto.Revision(number("rev", int64(Latest)))
		check(t, v.Scan(span, rev, ScanOptions{KeysOnly: td.HasArg("keys")}, show))
		fmt.Fprintf(&out, "count=%d\n", must(v.Count(span, rev))(t))
	case "changes":
		check(t, v.Changes(span, proto.Revision(number("from", 0)), proto.Revision(number("to", 1<<40)), show))
	case "leases":
		check(t, v.LeaseKeys(span, proto.LeaseID(number("lease", 0)), func(key []byte, l proto.LeaseID) (bool, error) {
			fmt.Fprintf(&out, "%s lease=%d\n", key[1:], l)
			return true, nil
		}))
	default:
		td.Fatalf(t, "unknown verb %s", td.Cmd)
	}
	return out.String()
}

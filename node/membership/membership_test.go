package membership

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The ids below are those that etcd 3.7.3 prints for the same flags.
func TestParseGivesEtcdsIDs(t *testing.T) {
	c, err := Parse("default=http://localhost:2380", "etcd-cluster", "default", []string{"http://localhost:2380"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Self != 0x8e9e05c52164694d || c.ID != 0xcdf818194e3a8c32 {
		t.Fatalf("member %x cluster %x", uint64(c.Self), c.ID)
	}
}

func TestParseIsTheSameOnEveryNode(t *testing.T) {
	const initial = "a=http://127.0.0.1:1,b=http://127.0.0.1:2,c=http://127.0.0.1:3"
	a, err := Parse(initial, "t", "a", []string{"http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(initial, "t", "c", []string{"http://127.0.0.1:3"})
	if err != nil {
		t.Fatal(err)
	}
	if a.ID != c.ID || !reflect.DeepEqual(a.Members, c.Members) || a.Self == c.Self {
		t.Fatalf("%+v\n%+v", a, c)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct{ initial, self, adv, want string }{
		{"a=http://h:1", "b", "http://h:1", `couldn't find local name "b"`},
		{"a=http://h:1", "a", "http://h:2", "missing from --initial-advertise-peer-urls"},
		{"a", "a", "http://h:2", "is not name=url"},
		{"a=:::", "a", "http://h:2", "is not a URL"},
		{"a=http://h:1,b=http://h:1", "a", "http://h:1", "given to both"},
	} {
		_, err := Parse(tc.initial, "t", tc.self, []string{tc.adv})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v", tc.initial, err)
		}
	}
}

func TestSaveLoad(t *testing.T) {
	dir := t.TempDir()
	if c, err := Load(dir); c != nil || err != nil {
		t.Fatal(c, err)
	}
	c, err := Parse("a=http://h:1", "t", "a", []string{"http://h:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Fatal(got, err)
	}
}

func TestLoadRefusesTornFile(t *testing.T) {
	for _, content := range []string{"", "{", `{"cluster_id":1}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: %v", content, err)
		}
	}
}

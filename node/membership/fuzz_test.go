package membership

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad reads what may be any file: who the cluster is, is whole or refused.
func FuzzLoad(f *testing.F) {
	c, err := Parse("a=http://h:1", "t", "a", []string{"http://h:1"})
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	if err := c.Save(dir); err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(dir, fileName)
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(dir)
		if err != nil {
			return
		}
		if c.ID == 0 || c.Self == 0 {
			t.Fatalf("%+v", c)
		}
		c.RootRange()
		c.Records()
	})
}

// FuzzFlags reads what may be any --initial-cluster.
func FuzzFlags(f *testing.F) {
	f.Add("a=http://h:1,b=http://h:2", "a")
	f.Add("a=unix://x,,=", "")
	f.Fuzz(func(_ *testing.T, initial, self string) {
		ParseExisting(initial, self)
		Parse(initial, "token", self, []string{"http://h:1"})
	})
}

package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pontoon-kv/pontoon/node/offline"
	"github.com/pontoon-kv/pontoon/proto"
)

// Verify lists what is damaged and where, and finds nothing in what is whole.
func TestOfflineVerify(t *testing.T) {
	t.Parallel()
	nd := newCluster(t, 1, nil).nodes[0]
	for i := range 200 {
		nd.put(fmt.Sprintf("k%03d", i), strings.Repeat(fmt.Sprint(i), 100))
	}
	nd.stop()
	tables := nd.toTables(t)
	dir := nd.cfg.DataDir
	// What a compaction that was cut off leaves is not damage.
	if err := os.WriteFile(filepath.Join(dir, "engine", "999998.sst"), []byte("half a table"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := offline.Verify(t.Context(), dir, nil)
	if err != nil || len(v.Damage) > 0 || v.Tables != len(tables) || len(v.Ranges) != 3 {
		t.Fatalf("%+v %v", v, err)
	}
	for _, r := range v.Ranges {
		if r.ID == uint64(proto.UserRange) && (r.Keys != 200 || r.Versions != 200) {
			t.Errorf("%+v", r)
		}
	}
	for _, table := range tables {
		good := flipMiddle(t, table)
		v, err := offline.Verify(t.Context(), dir, nil)
		if err != nil || len(v.Damage) == 0 || !strings.Contains(strings.Join(v.Damage, "\n"), filepath.Base(table)) {
			t.Errorf("%s: %+v %v", table, v, err)
		}
		if err := os.WriteFile(table, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := offline.Inspect(t.TempDir()); err == nil {
		t.Error("an empty directory is one of a node")
	}
}

package storage

import (
	"path/filepath"
	"testing"
	"time"
)

// What was counted is what is in the engine.
func TestMeasureCommits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	rate, err := MeasureCommits(t.Context(), dir, CommitLoad{Committers: 3, ValueBytes: 100, For: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if rate.Commits < 3 || rate.Took < 50*time.Millisecond || rate.P50 <= 0 || rate.P99 < rate.P50 {
		t.Errorf("%+v", rate)
	}
	e, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	it, err := e.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	versions := int64(0)
	for ok := it.First(); ok; ok = it.Next() {
		if len(it.Value()) == 100 {
			versions++
		}
	}
	if versions != rate.Commits {
		t.Errorf("%d commits counted, %d values found", rate.Commits, versions)
	}
	if _, err := MeasureCommits(t.Context(), dir, CommitLoad{Committers: 1, For: time.Second}); err == nil {
		t.Error("a directory in use was taken")
	}
	if _, err := MeasureCommits(t.Context(), dir+"2", CommitLoad{For: time.Second}); err == nil {
		t.Error("nobody committed")
	}
}

package admin

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	gproto "google.golang.org/protobuf/proto"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

func set(t *testing.T, f *fake, pairs ...string) (map[string]string, error) {
	t.Helper()
	req := &pontoonpb.PlacementSettingsRequest{}
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		req.Set = append(req.Set, &pontoonpb.Setting{Name: name, Value: value})
	}
	resp, err := (&Server{Cluster: f}).PlacementSettings(t.Context(), req)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, s := range resp.Settings {
		out[s.Name] = s.Value
	}
	return out, nil
}

// Every field of Settings has a row under its own name, and nothing else has.
func TestEverySettingIsShown(t *testing.T) {
	fields := (&pontoonpb.Settings{}).ProtoReflect().Descriptor().Fields()
	if fields.Len() != len(table) {
		t.Errorf("%d fields, %d rows", fields.Len(), len(table))
	}
	for i := range table {
		if string(fields.Get(i).Name()) != table[i].name || table[i].help == "" || table[i].byDefault == "" {
			t.Errorf("row %d is %s, the field %s", i, table[i].name, fields.Get(i).Name())
		}
	}
	shown, err := set(t, &fake{})
	if err != nil || shown["range_max_bytes"] != "256MiB" || shown["dead_after_seconds"] != "5m" || shown["balance_off"] != "false" {
		t.Error(shown, err)
	}
}

func TestSettingsAreSetAndReset(t *testing.T) {
	f := &fake{}
	shown, err := set(t, f, "dead_after_seconds=90s", "range_max_bytes=1.5GiB", "split_busy=off", "balance_off=true",
		"replication_factor=5", "range_merge_bytes=off", "merge_requests_per_second=2.5", "merge_after_seconds=2h")
	if err != nil {
		t.Fatal(err)
	}
	want := &pontoonpb.Settings{
		DeadAfterSeconds: 90, RangeMaxBytes: 3 << 29, SplitBusy: -1, BalanceOff: true, ReplicationFactor: 5,
		RangeMergeBytes: -1, MergeRequestsPerSecond: 2.5, MergeAfterSeconds: 7200,
	}
	if !gproto.Equal(want, f.settings) {
		t.Error(f.settings)
	}
	for name, value := range map[string]string{
		"dead_after_seconds": "90s", "range_max_bytes": "1536MiB", "split_busy": "off", "balance_off": "true",
		"replication_factor": "5", "range_merge_bytes": "off", "merge_requests_per_second": "2.5", "merge_after_seconds": "2h",
	} {
		if shown[name] != value {
			t.Errorf("%s is shown as %s, want %s", name, shown[name], value)
		}
	}
	again, err := set(t, f, "split_busy=", "balance_off=", "replication_factor=")
	if err != nil || again["split_busy"] != "0.5" || again["balance_off"] != "false" || again["replication_factor"] != "3" {
		t.Error(again, err)
	}
	if f.settings.SplitBusy != 0 || f.settings.DeadAfterSeconds != 90 {
		t.Error(f.settings)
	}
}

// A value that makes no sense is refused, and with it the whole request.
func TestBadSettings(t *testing.T) {
	for pair, want := range map[string]string{
		"colour=red":                   `no setting is called "colour"`,
		"replication_factor=four":      "is not a whole number",
		"replication_factor=4":         "is even",
		"replication_factor=11":        "is not between 1 and 9",
		"replication_factor=-1":        "is not between",
		"replication_factor=off":       "is not a whole number",
		"dead_after_seconds=0":         "is not between 1s and 720h",
		"dead_after_seconds=1.5s":      "is not a whole number of seconds",
		"dead_after_seconds=soon":      "is not a time",
		"range_max_bytes=1KiB":         "is not between 1MiB and 1TiB",
		"range_max_bytes=big":          "is not a size",
		"range_max_bytes=64MiB":        "must be at most half of range_max_bytes (64MiB)",
		"split_busy=2":                 "is not between 0.01 and 1",
		"split_busy=NaN":               "is not between",
		"balance_off=perhaps":          "is neither true nor false",
		"merge_requests_per_second=ja": "is not a number",
	} {
		f := &fake{}
		_, err := set(t, f, "moves_per_node=4", pair)
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", pair, err)
		}
		if f.settings != nil {
			t.Errorf("%s: half of a refused request was written", pair)
		}
	}
}

func FuzzUnits(f *testing.F) {
	for _, s := range []string{"64MiB", "1.5GiB", "12", "5m", "90s", "0", "off", "-1KB", "1e400"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for i := range table {
			e := &table[i]
			var a, b pontoonpb.Settings
			if e.set(&a, s) != nil || s == "" {
				continue
			}
			if v := e.value(&a); v != e.byDefault {
				if err := e.set(&b, v); err != nil || !gproto.Equal(&a, &b) {
					t.Errorf("%s: %q is written %q and read %v, %v", e.name, s, v, &b, err)
				}
			}
		}
	})
}

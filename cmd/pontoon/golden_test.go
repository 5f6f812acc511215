package main

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// What every command prints of one and the same cluster, as tables and as JSON.
func TestOutput(t *testing.T) {
	for _, args := range [][]string{
		{"range", "list"},
		{"range", "list", "--sort=size"},
		{"range", "list", "--output=json"},
		{"range", "show", "3"},
		{"range", "show", "3", "--output=json"},
		{"range", "show", "7"},
		{"range", "move", "3", "--from=n1", "--to=a4", "--wait=false"},
		{"range", "merge", "3", "--wait=false", "--output=json"},
		{"range", "transfer-leader", "3", "n2"},
		{"range", "transfer-leader", "3", "a2", "--output=json"},
		{"node", "list"},
		{"node", "list", "--output=json"},
		{"node", "show", "n3"},
		{"node", "show", "a4", "--ranges"},
		{"node", "show", "n3", "--output=json"},
		{"node", "drain", "n3", "--wait=false"},
		{"node", "drain", "n3", "--wait=false", "--output=json"},
		{"node", "undrain", "a3"},
		{"node", "remove", "a4", "--force", "--wait=false"},
		{"placement", "operators"},
		{"placement", "operators", "--ended"},
		{"placement", "operators", "--ended", "--output=json"},
		{"placement", "cancel", "12"},
		{"placement", "settings"},
		{"placement", "settings", "dead_after_seconds=8s", "--output=json"},
	} {
		f := newFakeAdmin(t)
		stdout, stderr, err := f.run(t, args...)
		if err != nil || stderr != "" {
			t.Errorf("%v: %v %s", args, err, stderr)
		}
		golden(t, goldenName(args), stdout)
	}
}

// Wrong usage is refused in words before anything is changed.
func TestWrongUsage(t *testing.T) {
	for _, tc := range []struct{ want, command string }{
		{`no node is called "n9"; there are a4, n1, n2, n3`, "range move 3 --from=n9"},
		{`no node is called "zz"`, "node drain zz"},
		{`no node is called "ff"`, "node remove ff --force"},
		{`no node is called "n5"`, "node show n5"},
		{`no node is called "n5"`, "range transfer-leader 3 n5"},
		{"give --from NODE, --to NODE or both", "range move 3"},
		{`"3x" is not a range id`, "range move 3x --to=n1"},
		{`"0" is not a range id`, "range merge 0"},
		{"no replica of range 99 answers", "range merge 99"},
		{"accepts 1 arg(s), received 0", "range merge"},
		{"accepts 1 arg(s), received 2", "node drain n1 n2"},
		{"--sort must be key, id, size", "range list --sort=colour"},
		{"--output must be table or json", "placement settings --output=yaml"},
		{`"colour" is not NAME=VALUE`, "placement settings colour"},
		{`"=3" is not NAME=VALUE`, "placement settings =3"},
		{`"x" is not the id of an operator`, "placement cancel x"},
		{"no operator 99 is at work", "placement cancel 99"},
		{"unknown flag: --wait", "node undrain n1 --wait"},
	} {
		f := newFakeAdmin(t)
		stdout, _, err := f.run(t, strings.Fields(tc.command)...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || stdout != "" {
			t.Errorf("pontoon %s: %v, %q; want %q", tc.command, err, stdout, tc.want)
		}
		for _, asked := range f.asked {
			if strings.Contains("move merge transfer drain remove settings", asked) {
				t.Errorf("pontoon %s changed something: %v", tc.command, f.asked)
			}
		}
	}
}

// A refusal of the cluster reaches the operator as it is.
func TestRefusalsAreShown(t *testing.T) {
	for _, command := range []string{
		"range move 3 --from=n1 --to=n2", "range merge 3", "range transfer-leader 3 n1", "node drain n3", "node undrain n3",
		"node remove n3 --force",
	} {
		f := newFakeAdmin(t)
		f.refuse = status.Error(codes.FailedPrecondition, "node n2 has a replica of range 3 already")
		stdout, _, err := f.run(t, strings.Fields(command)...)
		if err == nil || err.Error() != f.addr+": node n2 has a replica of range 3 already" || stdout != "" {
			t.Errorf("%s: %v %q", command, err, stdout)
		}
	}
}

// A name that a removed node had means its successor; two nodes of one name are
// told apart by their ids.
func TestNodesByName(t *testing.T) {
	f := newFakeAdmin(t)
	f.nodes[3].Name, f.nodes[3].State = "n3", removedState
	if n, err := findNode(f.nodes, "n3"); err != nil || n.NodeId != 0xa3 {
		t.Error(n, err)
	}
	if n, err := findNode(f.nodes, "a4"); err != nil || n.NodeId != 0xa4 {
		t.Error(n, err)
	}
	if got := namesOf(f.nodes).text(0xa4); got != "n3/a4" {
		t.Error(got)
	}
	f.nodes[3].State = "live"
	if _, err := findNode(f.nodes, "n3"); err == nil || !strings.Contains(err.Error(), "by its id: a3, a4") {
		t.Error(err)
	}
	if _, err := findNode([]*pontoonpb.NodeStatus{{NodeId: 5}}, ""); err == nil {
		t.Error("an empty name found a node")
	}
}

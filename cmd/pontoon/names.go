package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

const removedState = "removed"

// nodeNames renders node ids for people.
type nodeNames map[uint64]string

func namesOf(nodes []*pontoonpb.NodeStatus) nodeNames {
	names, uses := nodeNames{}, map[string]int{}
	for _, n := range nodes {
		uses[n.Name]++
	}
	for _, n := range nodes {
		switch {
		case n.Name == "":
		case uses[n.Name] > 1: // a removed node and its successor, say
			names[n.NodeId] = n.Name + "/" + nodeText(n.NodeId)
		default:
			names[n.NodeId] = n.Name
		}
	}
	return names
}

// text is the name of a node, or its id where no name is known.
func (n nodeNames) text(id uint64) string {
	if name := n[id]; name != "" {
		return name
	}
	return nodeText(id)
}

// listNodes asks for all nodes, by name.
func listNodes(ctx context.Context, c pontoonpb.AdminClient) ([]*pontoonpb.NodeStatus, error) {
	resp, err := c.NodeList(ctx, &pontoonpb.NodeListRequest{})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(resp.Nodes, func(a, b *pontoonpb.NodeStatus) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.NodeId, b.NodeId))
	})
	return resp.Nodes, nil
}

// findNode returns the node that an operator means by a name or a hexadecimal
// id. A name that was used again means the node that is not removed.
func findNode(nodes []*pontoonpb.NodeStatus, arg string) (*pontoonpb.NodeStatus, error) {
	named := matching(nodes, func(n *pontoonpb.NodeStatus) bool { return n.Name == arg && n.State != removedState })
	if len(named) == 0 {
		named = matching(nodes, func(n *pontoonpb.NodeStatus) bool { return n.Name == arg })
	}
	if id, err := strconv.ParseUint(arg, 16, 64); err == nil && len(named) == 0 {
		named = matching(nodes, func(n *pontoonpb.NodeStatus) bool { return n.NodeId == id })
	}
	switch {
	case arg == "" || len(named) == 0:
		var known []string
		for _, n := range nodes {
			if n.State != removedState {
				known = append(known, namesOf(nodes).text(n.NodeId))
			}
		}
		return nil, fmt.Errorf("no node is called %q; there are %s", arg, strings.Join(known, ", "))
	case len(named) > 1:
		var ids []string
		for _, n := range named {
			ids = append(ids, nodeText(n.NodeId))
		}
		return nil, fmt.Errorf("%d nodes are called %q; name one by its id: %s", len(named), arg, strings.Join(ids, ", "))
	}
	return named[0], nil
}

func matching(nodes []*pontoonpb.NodeStatus, want func(*pontoonpb.NodeStatus) bool) (out []*pontoonpb.NodeStatus) {
	for _, n := range nodes {
		if want(n) {
			out = append(out, n)
		}
	}
	return out
}

func nodeText(id uint64) string {
	if id == 0 {
		return "unknown"
	}
	return strconv.FormatUint(id, 16)
}

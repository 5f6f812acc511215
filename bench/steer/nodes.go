package steer

import (
	"context"
	"fmt"

	"github.com/pontoon-kv/pontoon/proto/pontoonpb"
)

// Node is a member of the cluster.
type Node struct {
	ID       uint64
	Name     string
	State    string // live, suspect, draining, dead, removed
	Replicas int64
	Leaders  int64
}

// Nodes lists the members.
func (c *Client) Nodes(ctx context.Context) (out []Node, err error) {
	err = c.do(ctx, func(ctx context.Context, a pontoonpb.AdminClient) error {
		resp, err := a.NodeList(ctx, &pontoonpb.NodeListRequest{})
		out = nil
		for _, n := range resp.GetNodes() {
			out = append(out, Node{n.NodeId, n.Name, n.State, n.Replicas, n.Leaders})
		}
		return err
	})
	return out, err
}

// NodeNamed finds a member.
func (c *Client) NodeNamed(ctx context.Context, name string) (Node, error) {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return Node{}, err
	}
	for _, n := range nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return Node{}, fmt.Errorf("no node %s among %v", name, nodes)
}

// Drain lets leaderships and replicas move away from a node.
func (c *Client) Drain(ctx context.Context, node uint64) error {
	return c.do(ctx, func(ctx context.Context, a pontoonpb.AdminClient) error {
		_, err := a.NodeDrain(ctx, &pontoonpb.NodeDrainRequest{NodeId: node})
		return err
	})
}

// Remove takes a node out for good; force: although it holds replicas.
func (c *Client) Remove(ctx context.Context, node uint64, force bool) error {
	return c.do(ctx, func(ctx context.Context, a pontoonpb.AdminClient) error {
		_, err := a.NodeRemove(ctx, &pontoonpb.NodeRemoveRequest{NodeId: node, Force: force})
		return err
	})
}

// Set changes settings of the cluster, by name.
func (c *Client) Set(ctx context.Context, pairs ...string) error {
	req := &pontoonpb.PlacementSettingsRequest{}
	for i := 0; i+1 < len(pairs); i += 2 {
		req.Set = append(req.Set, &pontoonpb.Setting{Name: pairs[i], Value: pairs[i+1]})
	}
	return c.do(ctx, func(ctx context.Context, a pontoonpb.AdminClient) error {
		_, err := a.PlacementSettings(ctx, req)
		return err
	})
}

// Operator is something that the placement driver does or did.
type Operator struct {
	ID, Range                  uint64
	Kind, Reason, State, Error string
}

// Over says whether nothing comes of it any more.
func (o *Operator) Over() bool { return o.State != "waiting" && o.State != "running" }

func (o *Operator) String() string {
	text := fmt.Sprintf("operator %d: %s of range %d is %s", o.ID, o.Kind, o.Range, o.State)
	if o.Error != "" {
		text += ": " + o.Error
	}
	return text
}

// Operators lists what placement does, with ended what it did lately too.
func (c *Client) Operators(ctx context.Context, ended bool) (out []Operator, err error) {
	err = c.do(ctx, func(ctx context.Context, a pontoonpb.AdminClient) error {
		resp, err := a.PlacementOperators(ctx, &pontoonpb.PlacementOperatorsRequest{Ended: ended})
		out = nil
		for _, o := range resp.GetOperators() {
			out = append(out, Operator{o.Id, o.RangeId, o.Kind, o.Reason, o.State, o.Error})
		}
		return err
	})
	return out, err
}

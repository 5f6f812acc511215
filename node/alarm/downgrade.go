package alarm

import (
	"context"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// DowngradeTarget returns the version that a downgrade is enabled for, as last
// read; empty: none.
func (b *Board) DowngradeTarget() string {
	if s := b.set.Load(); s != nil {
		return s.downgrade
	}
	return ""
}

// CheckDowngrade refuses if a downgrade is enabled already.
func (b *Board) CheckDowngrade(ctx context.Context) error {
	s, err := b.confirmed(ctx)
	if err == nil && s.downgrade != "" {
		err = rpctypes.ErrGRPCDowngradeInProcess
	}
	return err
}

// EnableDowngrade notes the version that nodes may be replaced by.
func (b *Board) EnableDowngrade(ctx context.Context, target string) error {
	return b.update(ctx, func(s *Set) (*Set, error) {
		if s.downgrade != "" {
			return nil, rpctypes.ErrGRPCDowngradeInProcess
		}
		return s.downgraded(target), nil
	})
}

// CancelDowngrade takes the note away; none is fine, too.
func (b *Board) CancelDowngrade(ctx context.Context) error {
	return b.update(ctx, func(s *Set) (*Set, error) {
		if s.downgrade == "" {
			return s, nil
		}
		return s.downgraded(""), nil
	})
}

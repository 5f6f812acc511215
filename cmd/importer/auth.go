package importer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// auth copies roles and users. It is not switched on in the target, and users
// have no password there: no API gives password hashes out.
func (im *importer) auth(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	users, err := im.From.UserList(ctx)
	if errors.Is(err, rpctypes.ErrPermissionDenied) || errors.Is(err, rpctypes.ErrUserEmpty) {
		im.Note("users and roles of the source cannot be read as this user; they are left out")
		return nil
	}
	if err != nil {
		return fmt.Errorf("source: users: %w", err)
	}
	roles, err := im.From.RoleList(ctx)
	if err != nil {
		return fmt.Errorf("source: roles: %w", err)
	}
	for _, name := range roles.Roles {
		if err := im.role(ctx, name); err != nil {
			return fmt.Errorf("role %s: %w", name, err)
		}
	}
	var made []string
	for _, name := range users.Users {
		isNew, err := im.user(ctx, name)
		if err != nil {
			return fmt.Errorf("user %s: %w", name, err)
		}
		if isNew {
			made = append(made, name)
		}
	}
	if len(made) > 0 {
		im.Note(fmt.Sprintf("users %s came without their passwords, which no API gives out: set them with `etcdctl user passwd`, "+
			"then `etcdctl auth enable` (a restore from a backup keeps passwords)", strings.Join(made, ", ")))
	}
	return nil
}

// rootRole may do everything: what is shown as its permission cannot be granted.
const rootRole = "root"

func (im *importer) role(ctx context.Context, name string) error {
	r, err := im.From.RoleGet(ctx, name)
	if err != nil {
		return err
	}
	if _, err := im.To.RoleAdd(ctx, name); err != nil && !errors.Is(err, rpctypes.ErrRoleAlreadyExist) {
		return err
	}
	if name == rootRole {
		return nil
	}
	for _, p := range r.Perm {
		if _, err := im.To.RoleGrantPermission(ctx, name, string(p.Key), string(p.RangeEnd), clientv3.PermissionType(p.PermType)); err != nil {
			return err
		}
	}
	return nil
}

func (im *importer) user(ctx context.Context, name string) (isNew bool, err error) {
	u, err := im.From.UserGet(ctx, name)
	if err != nil {
		return false, err
	}
	_, err = im.To.UserAddWithOptions(ctx, name, "", &clientv3.UserAddOptions{NoPassword: true})
	if err != nil && !errors.Is(err, rpctypes.ErrUserAlreadyExist) {
		return false, err
	}
	isNew = err == nil
	for _, role := range u.Roles {
		if _, err := im.To.UserGrantRole(ctx, name, role); err != nil {
			return isNew, err
		}
	}
	return isNew, nil
}

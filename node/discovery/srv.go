package discovery

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/srv"
	"go.etcd.io/etcd/client/pkg/v3/types"
)

// SRV says which DNS records name the members of a new cluster.
type SRV struct {
	Domain string // empty: none are asked
	Name   string // suffix of the service, behind a hyphen
}

// Wanted says whether records are to be asked.
func (s SRV) Wanted() bool { return s.Domain != "" }

// Members asks for the records of _etcd-server-ssl._tcp and _etcd-server._tcp and
// returns whom they name as name=url,name=url, and the URLs of the one that is at an
// advertised URL of this node, which has its name there. The others have the names of
// their hosts until they say their own. A member is known by its URL: it is the one
// of the records, so that all nodes agree.
func (s SRV) Members(name string, advertised []string, log *slog.Logger) (members string, own []string, err error) {
	urls, err := types.NewURLs(advertised)
	if err != nil {
		return "", nil, err
	}
	var all []string
	var failed []error
	for _, scheme := range []string{"https", "http"} {
		service := srv.GetSRVService("etcd-server", s.Name, scheme)
		found, err := srv.GetCluster(scheme, service, name, s.Domain, urls)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		for _, member := range found {
			who, at, _ := strings.Cut(member, "=")
			if who == name {
				own = append(own, at)
			} else if u, err := url.Parse(at); err == nil {
				who = u.Host // etcd counts, and gives a number twice
			}
			all = append(all, who+"="+at)
		}
		log.Info("got bootstrap from DNS", "service", service, "domain", s.Domain, "members", found)
	}
	switch {
	case len(all) == 0:
		return "", nil, errors.Join(failed...)
	case len(own) == 0:
		return "", nil, fmt.Errorf("cannot find local etcd member %q in SRV records", name)
	}
	return strings.Join(all, ","), own, nil
}

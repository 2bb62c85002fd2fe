package kube

import (
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

// problem puts an API error into words for users; nil stays nil.
func problem(doing string, err error) error {
	if err == nil {
		return nil
	}
	p := &spawn.Problem{Message: spawn.MsgUnavailable, Err: fmt.Errorf("%s: %w", doing, err)}
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		p.Message, p.Detail = spawn.MsgQuota, err.Error()
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		p.Message, p.Detail = spawn.MsgRefused, err.Error()
	}
	return p
}

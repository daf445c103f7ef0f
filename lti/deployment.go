package lti

import (
	"context"
	"errors"
	"time"

	"vigil"
)

// Bounds of what launches may add to the store.
const (
	maxDeployments      = 500 // of a platform, recorded by launches
	kindFirstDeployment = "lti.first_deployment"
	firstDeploymentLife = 24 * time.Hour
)

// newDeployment records a deployment that a verified launch brought under a known
// client. It is pending, for the operator to decide, with one exception: the first
// deployment of a platform that was registered a short while ago (Config.FirstDeployment)
// without naming one is accepted. That trusts no one new: registering the platform was the
// operator's decision, its key signed the launch, and a platform with a single deployment
// is what was meant. Exactly one deployment can be first, even when two launches race:
// the first to create the record of the platform's first deployment wins. Families whose
// one issuer serves many customers are excepted.
func (t *Tool) newDeployment(ctx context.Context, p vigil.Platform, id string) (vigil.Deployment, error) {
	now := t.cfg.Now()
	known, err := t.cfg.Store.Deployments(ctx, p.ID)
	if err != nil {
		return vigil.Deployment{}, err
	}
	d := vigil.Deployment{PlatformID: p.ID, ID: id, State: vigil.DeploymentPending, Created: now}
	if len(known) == 0 && t.mayBringFirst(p, now) {
		first, err := t.isFirst(ctx, p, id, now)
		if err != nil {
			return vigil.Deployment{}, err
		}
		if first {
			d.State = vigil.DeploymentActive
		}
	}
	if len(known) >= maxDeployments {
		return d, nil // refused all the same, but not recorded
	}
	if err := t.cfg.Store.SaveDeployment(ctx, d); err != nil {
		return vigil.Deployment{}, err
	}
	t.cfg.Log.InfoContext(ctx, "deployment recorded", "platform", p.ID, "deployment", id, "state", string(d.State))
	return d, nil
}

func (t *Tool) mayBringFirst(p vigil.Platform, now time.Time) bool {
	if familyOf(p.Family, p.Issuer) != nil {
		return false
	}
	for _, f := range families {
		for _, issuer := range f.issuers {
			if p.Issuer == issuer {
				return false
			}
		}
	}
	return t.cfg.FirstDeployment > 0 && now.Sub(p.Updated) < t.cfg.FirstDeployment
}

// isFirst settles which deployment is a platform's first. The same one may ask again.
func (t *Tool) isFirst(ctx context.Context, p vigil.Platform, id string, now time.Time) (bool, error) {
	err := t.cfg.Store.CreateRecord(ctx, vigil.Record{
		Kind: kindFirstDeployment, Key: p.ID, Value: []byte(id), Expires: now.Add(firstDeploymentLife),
	}, now)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, vigil.ErrExists) {
		return false, err
	}
	rec, err := t.cfg.Store.GetRecord(ctx, kindFirstDeployment, p.ID, now)
	if errors.Is(err, vigil.ErrNotFound) {
		return false, nil
	}
	return err == nil && string(rec.Value) == id, err
}

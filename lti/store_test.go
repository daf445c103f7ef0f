package lti_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"vigil"
)

// memory is a store for tests, with the semantics that lti.Store asks for.
type memory struct {
	now func() time.Time

	mu          sync.Mutex
	platforms   map[string]vigil.Platform
	deployments map[[2]string]vigil.Deployment
	invitations map[string]vigil.Invitation
	keys        map[string]vigil.Key
	records     map[[2]string]vigil.Record
	fail        error // returned by everything when set
	keyReads    int
}

func newMemory(now func() time.Time) *memory {
	return &memory{
		now: now, platforms: map[string]vigil.Platform{}, deployments: map[[2]string]vigil.Deployment{},
		invitations: map[string]vigil.Invitation{}, keys: map[string]vigil.Key{}, records: map[[2]string]vigil.Record{},
	}
}

func (m *memory) lock() (func(), error) {
	m.mu.Lock()
	return m.mu.Unlock, m.fail
}

func (m *memory) setFail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

var errMissing = vigil.Errorf(vigil.CodeNotFound, "not there")

func (m *memory) Platform(_ context.Context, id string) (vigil.Platform, error) {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return vigil.Platform{}, err
	}
	p, ok := m.platforms[id]
	if !ok {
		return p, errMissing
	}
	return p, nil
}

func (m *memory) PlatformByClient(_ context.Context, issuer, clientID string) (vigil.Platform, error) {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return vigil.Platform{}, err
	}
	for _, p := range m.platforms {
		if p.Issuer == issuer && p.ClientID == clientID {
			return p, nil
		}
	}
	return vigil.Platform{}, errMissing
}

func (m *memory) Platforms(context.Context) ([]vigil.Platform, error) {
	unlock, err := m.lock()
	defer unlock()
	var out []vigil.Platform
	for _, p := range m.platforms {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b vigil.Platform) int { return a.Created.Compare(b.Created) })
	return out, err
}

func (m *memory) CreatePlatform(_ context.Context, p vigil.Platform) error {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return err
	}
	for _, q := range m.platforms {
		if q.ID == p.ID || q.Issuer == p.Issuer && q.ClientID == p.ClientID {
			return vigil.Errorf(vigil.CodeExists, "there")
		}
	}
	p.Version = 1
	m.platforms[p.ID] = p
	return nil
}

func (m *memory) UpdatePlatform(_ context.Context, p vigil.Platform) error {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return err
	}
	if m.platforms[p.ID].Version != p.Version {
		return vigil.Errorf(vigil.CodeConflict, "changed")
	}
	p.Version++
	m.platforms[p.ID] = p
	return nil
}

func (m *memory) DeletePlatform(_ context.Context, id string) error {
	unlock, err := m.lock()
	defer unlock()
	delete(m.platforms, id)
	return err
}

func (m *memory) Deployment(_ context.Context, platformID, id string) (vigil.Deployment, error) {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return vigil.Deployment{}, err
	}
	d, ok := m.deployments[[2]string{platformID, id}]
	if !ok {
		return d, errMissing
	}
	return d, nil
}

func (m *memory) Deployments(_ context.Context, platformID string) ([]vigil.Deployment, error) {
	unlock, err := m.lock()
	defer unlock()
	var out []vigil.Deployment
	for k, d := range m.deployments {
		if k[0] == platformID {
			out = append(out, d)
		}
	}
	return out, err
}

func (m *memory) SaveDeployment(_ context.Context, d vigil.Deployment) error {
	unlock, err := m.lock()
	defer unlock()
	if err == nil {
		m.deployments[[2]string{d.PlatformID, d.ID}] = d
	}
	return err
}

func (m *memory) CreateInvitation(_ context.Context, i vigil.Invitation) error {
	unlock, err := m.lock()
	defer unlock()
	if err == nil {
		m.invitations[i.Hash] = i
	}
	return err
}

func (m *memory) Invitation(_ context.Context, hash string) (vigil.Invitation, error) {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return vigil.Invitation{}, err
	}
	i, ok := m.invitations[hash]
	if !ok {
		return vigil.Invitation{}, errMissing
	}
	return i, nil
}

func (m *memory) TryInvitation(_ context.Context, hash string, now time.Time) (vigil.Invitation, error) {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return vigil.Invitation{}, err
	}
	i, ok := m.invitations[hash]
	if !ok || !now.Before(i.Expires) || i.PlatformID != "" || i.Tries >= vigil.MaxInvitationTries {
		return vigil.Invitation{}, errMissing
	}
	i.Tries++
	m.invitations[hash] = i
	return i, nil
}

func (m *memory) SpendInvitation(_ context.Context, hash, platformID string, _ time.Time) error {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return err
	}
	i, ok := m.invitations[hash]
	if !ok {
		return errMissing
	}
	if i.PlatformID != "" {
		return vigil.Errorf(vigil.CodeConflict, "spent")
	}
	i.PlatformID = platformID
	m.invitations[hash] = i
	return nil
}

func (m *memory) Keys(_ context.Context, use vigil.KeyUse) ([]vigil.Key, error) {
	unlock, err := m.lock()
	defer unlock()
	m.keyReads++
	var out []vigil.Key
	for _, k := range m.keys {
		if k.Use == use {
			out = append(out, k)
		}
	}
	return out, err
}

func (m *memory) CreateKey(_ context.Context, k vigil.Key) error {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return err
	}
	if _, ok := m.keys[k.ID]; ok {
		return vigil.Errorf(vigil.CodeExists, "there")
	}
	k.Version = 1
	m.keys[k.ID] = k
	return nil
}

func (m *memory) UpdateKey(_ context.Context, k vigil.Key) error {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return err
	}
	if m.keys[k.ID].Version != k.Version {
		return vigil.Errorf(vigil.CodeConflict, "changed")
	}
	k.Version++
	m.keys[k.ID] = k
	return nil
}

func (m *memory) DeleteKey(_ context.Context, id string) error {
	unlock, err := m.lock()
	defer unlock()
	delete(m.keys, id)
	return err
}

func (m *memory) CreateRecord(_ context.Context, r vigil.Record, now time.Time) error {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return err
	}
	k := [2]string{r.Kind, r.Key}
	if old, ok := m.records[k]; ok && now.Before(old.Expires) {
		return vigil.Errorf(vigil.CodeExists, "there")
	}
	m.records[k] = r
	return nil
}

func (m *memory) GetRecord(_ context.Context, kind, key string, now time.Time) (vigil.Record, error) {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return vigil.Record{}, err
	}
	r, ok := m.records[[2]string{kind, key}]
	if !ok || !now.Before(r.Expires) {
		return vigil.Record{}, errMissing
	}
	return r, nil
}

func (m *memory) TakeRecord(_ context.Context, kind, key string, now time.Time) (vigil.Record, error) {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return vigil.Record{}, err
	}
	r, ok := m.records[[2]string{kind, key}]
	delete(m.records, [2]string{kind, key})
	if !ok || !now.Before(r.Expires) {
		return vigil.Record{}, errMissing
	}
	return r, nil
}

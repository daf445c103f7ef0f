package sqlite

import (
	"context"

	"vigil"
)

const platformColumns = `id, issuer, client_id, name, family, authorization_endpoint, token_endpoint, token_audience, key_set_url,
	scopes, private, state, created, updated, version, plugin`

func scanPlatform(r row, extra ...any) (p vigil.Platform, err error) {
	return p, r.Scan(into(extra, &p.ID, &p.Issuer, &p.ClientID, &p.Name, &p.Family, &p.AuthorizationEndpoint, &p.TokenEndpoint,
		&p.TokenAudience, &p.KeySetURL, listInto[string]{&p.Scopes}, &p.Private, &p.State, timeInto{&p.Created}, timeInto{&p.Updated}, &p.Version,
		&p.Plugin)...)
}

// Platform implements storage.Platforms.
func (s *Store) Platform(ctx context.Context, id string) (vigil.Platform, error) {
	return get(ctx, s, "platform", scanPlatform, `SELECT `+platformColumns+` FROM platforms WHERE id = ?`, id)
}

// PlatformByClient implements storage.Platforms.
func (s *Store) PlatformByClient(ctx context.Context, issuer, clientID string) (vigil.Platform, error) {
	return get(ctx, s, "platform", scanPlatform, `SELECT `+platformColumns+` FROM platforms WHERE issuer = ? AND client_id = ?`, issuer, clientID)
}

// Platforms implements storage.Platforms.
func (s *Store) Platforms(ctx context.Context) ([]vigil.Platform, error) {
	return list(ctx, s, "platform", scanPlatform, `SELECT `+platformColumns+` FROM platforms ORDER BY created, id`)
}

// CreatePlatform implements storage.Platforms.
func (s *Store) CreatePlatform(ctx context.Context, p vigil.Platform) error {
	return s.write(ctx, "platform", func(t tx) error {
		_, err := t.exec(`INSERT INTO platforms (`+platformColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			p.ID, p.Issuer, p.ClientID, p.Name, p.Family, p.AuthorizationEndpoint, p.TokenEndpoint, p.TokenAudience, p.KeySetURL,
			listJSON(p.Scopes), p.Private, p.State, ms(p.Created), ms(p.Updated), p.Version, p.Plugin)
		return err
	})
}

// UpdatePlatform implements storage.Platforms.
func (s *Store) UpdatePlatform(ctx context.Context, p vigil.Platform) error {
	return s.write(ctx, "platform", func(t tx) error {
		return t.update("platform", `UPDATE platforms SET issuer = ?, client_id = ?, name = ?, family = ?, authorization_endpoint = ?,
			token_endpoint = ?, token_audience = ?, key_set_url = ?, scopes = ?, private = ?, state = ?, created = ?, updated = ?,
			plugin = ?, version = version + 1 WHERE id = ? AND version = ?`, []any{
			p.Issuer, p.ClientID, p.Name, p.Family, p.AuthorizationEndpoint, p.TokenEndpoint, p.TokenAudience, p.KeySetURL,
			listJSON(p.Scopes), p.Private, p.State, ms(p.Created), ms(p.Updated), p.Plugin, p.ID, p.Version,
		}, `SELECT 1 FROM platforms WHERE id = ?`, p.ID)
	})
}

// DeletePlatform implements storage.Platforms.
func (s *Store) DeletePlatform(ctx context.Context, id string) error {
	return s.write(ctx, "platform", func(t tx) error {
		n, err := t.exec(`DELETE FROM platforms WHERE id = ?`, id) // and, by cascade, its deployments and links
		if err == nil && n == 0 {
			err = notFound("platform")
		}
		return err
	})
}

const deploymentColumns = `platform_id, id, state, created`

func scanDeployment(r row, extra ...any) (d vigil.Deployment, err error) {
	return d, r.Scan(into(extra, &d.PlatformID, &d.ID, &d.State, timeInto{&d.Created})...)
}

// Deployment implements storage.Platforms.
func (s *Store) Deployment(ctx context.Context, platformID, id string) (vigil.Deployment, error) {
	return get(ctx, s, "deployment", scanDeployment,
		`SELECT `+deploymentColumns+` FROM deployments WHERE platform_id = ? AND id = ?`, platformID, id)
}

// Deployments implements storage.Platforms.
func (s *Store) Deployments(ctx context.Context, platformID string) ([]vigil.Deployment, error) {
	return list(ctx, s, "deployment", scanDeployment,
		`SELECT `+deploymentColumns+` FROM deployments WHERE platform_id = ? ORDER BY created, id`, platformID)
}

// SaveDeployment implements storage.Platforms.
func (s *Store) SaveDeployment(ctx context.Context, d vigil.Deployment) error {
	return s.write(ctx, "deployment", func(t tx) error {
		_, err := t.exec(`INSERT INTO deployments (`+deploymentColumns+`) VALUES (?, ?, ?, ?)
			ON CONFLICT (platform_id, id) DO UPDATE SET state = excluded.state, created = excluded.created`,
			d.PlatformID, d.ID, d.State, ms(d.Created))
		return err
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/lti"
	"vigil/storage"
)

type platformCmd struct {
	Add      platformAddCmd      `cmd:"" help:"Register a platform by hand (for LMSs without Dynamic Registration)."`
	List     platformListCmd     `cmd:"" help:"List the registered platforms and their deployments."`
	Activate platformActivateCmd `cmd:"" help:"Let a platform launch, and accept its pending deployments."`
	Disable  platformDisableCmd  `cmd:"" help:"Stop a platform from launching."`
	Replace  platformReplaceCmd  `cmd:"" help:"Move the links of a platform to the one that replaced it (a new client id)."`
	Remove   platformRemoveCmd   `cmd:"" help:"Forget a platform and its links. Exams and sessions stay."`
}

type platformAddCmd struct {
	storeSettings `embed:""`
	Issuer        string   `help:"The platform's issuer (its URL)." required:"" placeholder:"URL"`
	ClientID      string   `help:"The client id that the platform gave the tool." required:"" placeholder:"ID"`
	Name          string   `help:"Name for people."`
	AuthURL       string   `help:"Its authorization (OIDC login) endpoint." required:"" placeholder:"URL"`
	TokenURL      string   `help:"Its access token endpoint." required:"" placeholder:"URL"`
	KeySetURL     string   `help:"Its public key set." required:"" placeholder:"URL"`
	Audience      string   `help:"aud of our client assertions. Default: the token endpoint."`
	Deployment    []string `help:"Deployment ids to accept. Without any, the first launch brings one." placeholder:"ID"`
	Private       bool     `help:"The LMS lies on a private network or on this machine."`
}

// Run adds the platform, active.
func (c platformAddCmd) Run(ctx context.Context, s *streams) error {
	now := time.Now().UTC()
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	name := c.Name
	if name == "" {
		name = c.Issuer
	}
	p := vigil.Platform{
		ID: id.String(), Issuer: c.Issuer, ClientID: c.ClientID, Name: name,
		AuthorizationEndpoint: c.AuthURL, TokenEndpoint: c.TokenURL, TokenAudience: c.Audience, KeySetURL: c.KeySetURL,
		Private: c.Private, State: vigil.PlatformActive, Created: now, Updated: now, Version: 1,
	}
	if err := lti.CheckPlatform(p); err != nil {
		return byFlag(err)
	}
	return c.with(ctx, s, func(store storage.Store) error {
		if err := store.CreatePlatform(ctx, p); err != nil {
			if vigil.CodeOf(err) == vigil.CodeExists {
				return vigil.Errorf(vigil.CodeExists, "A platform with this issuer and client id is registered already; see `vigil platform list`.")
			}
			return err
		}
		for _, d := range c.Deployment {
			if err := store.SaveDeployment(ctx, vigil.Deployment{PlatformID: p.ID, ID: d, State: vigil.DeploymentActive, Created: now}); err != nil {
				return err
			}
		}
		fmt.Fprintln(s.out, p.ID)
		return c.record(ctx, s, store, deed{action: "platform.add", detail: p.ID})
	})
}

// flagOf are the flags that set a platform's fields.
var flagOf = map[string]string{
	"client_id": "client-id", "authorization_endpoint": "auth-url", "token_endpoint": "token-url", "key_set_url": "key-set-url", "token_audience": "audience",
}

// byFlag names a field of a platform as the flag that sets it.
func byFlag(err error) error {
	e, ok := errors.AsType[*vigil.Error](err)
	if !ok || flagOf[e.Field] == "" {
		return err
	}
	c := *e
	c.Field = flagOf[e.Field]
	return &c
}

type platformListCmd struct {
	storeSettings `embed:""`
}

// Run prints all platforms.
func (c platformListCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(store storage.Store) error {
		list, err := store.Platforms(ctx)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			fmt.Fprintln(s.err, "No platform is registered yet. `vigil invite` makes a link for one.")
			return nil
		}
		w := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tSTATE\tNAME\tISSUER\tCLIENT\tDEPLOYMENTS")
		for _, p := range list {
			deployments, err := store.Deployments(ctx, p.ID)
			if err != nil {
				return err
			}
			var ds []string
			for _, d := range deployments {
				word := d.ID
				if d.State != vigil.DeploymentActive {
					word += " (" + string(d.State) + ")"
				}
				ds = append(ds, word)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, p.State, p.Name, p.Issuer, p.ClientID, strings.Join(ds, ", "))
		}
		return w.Flush()
	})
}

// platformArg is a command on one platform, named by its id or a part of it that only one has.
type platformArg struct {
	storeSettings `embed:""`
	ID            string `arg:"" help:"The platform's id, or its beginning."`
}

func find(ctx context.Context, store storage.Store, id string) (vigil.Platform, error) {
	list, err := store.Platforms(ctx)
	if err != nil {
		return vigil.Platform{}, err
	}
	var found []vigil.Platform
	for _, p := range list {
		if p.ID == id {
			return p, nil
		}
		if strings.HasPrefix(p.ID, id) {
			found = append(found, p)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return vigil.Platform{}, vigil.Invalid("id", "More than one platform's id begins with %q.", id)
	}
	return vigil.Platform{}, vigil.Errorf(vigil.CodeNotFound, "There is no platform with the id %q; see `vigil platform list`.", id)
}

// setState moves a platform to a state.
func (c platformArg) setState(ctx context.Context, s *streams, state vigil.PlatformState, action string, also func(storage.Store, vigil.Platform) error) error {
	return c.with(ctx, s, func(store storage.Store) error {
		p, err := find(ctx, store, c.ID)
		if err != nil {
			return err
		}
		if p.State != state {
			p.State, p.Updated = state, time.Now().UTC()
			if err := store.UpdatePlatform(ctx, p); err != nil {
				return err
			}
		}
		if also != nil {
			if err := also(store, p); err != nil {
				return err
			}
		}
		fmt.Fprintf(s.out, "%s is %s.\n", p.Name, state)
		return c.record(ctx, s, store, deed{action: action, detail: p.ID})
	})
}

type platformActivateCmd struct {
	platformArg `embed:""`
}

// Run activates the platform and accepts its pending deployments.
func (c platformActivateCmd) Run(ctx context.Context, s *streams) error {
	return c.setState(ctx, s, vigil.PlatformActive, "platform.activate", func(store storage.Store, p vigil.Platform) error {
		list, err := store.Deployments(ctx, p.ID)
		if err != nil {
			return err
		}
		for _, d := range list {
			if d.State == vigil.DeploymentActive {
				continue
			}
			d.State = vigil.DeploymentActive
			if err := store.SaveDeployment(ctx, d); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "Deployment %s is active.\n", d.ID)
		}
		return nil
	})
}

type platformDisableCmd struct {
	platformArg `embed:""`
}

// Run disables the platform.
func (c platformDisableCmd) Run(ctx context.Context, s *streams) error {
	return c.setState(ctx, s, vigil.PlatformDisabled, "platform.disable", nil)
}

type platformReplaceCmd struct {
	storeSettings `embed:""`
	Old           string `arg:"" help:"The platform that was replaced."`
	New           string `arg:"" help:"The one that replaced it."`
}

// Run moves the links.
func (c platformReplaceCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(store storage.Store) error {
		from, err := find(ctx, store, c.Old)
		if err != nil {
			return err
		}
		to, err := find(ctx, store, c.New)
		if err != nil {
			return err
		}
		if from.ID == to.ID {
			return vigil.Invalid("new", "A platform cannot replace itself.")
		}
		if from.Issuer != to.Issuer {
			return vigil.Invalid("new", "The two are of different issuers (%s and %s): users and courses would not match.", from.Issuer, to.Issuer)
		}
		n, err := store.MoveLinks(ctx, from.ID, to.ID)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%d links moved. `vigil platform disable %s` ends the old one.\n", n, from.ID)
		return c.record(ctx, s, store, deed{action: "platform.replace", detail: from.ID + " by " + to.ID})
	})
}

type platformRemoveCmd struct {
	platformArg `embed:""`
	Yes         bool `help:"Do not ask."`
}

// Run removes the platform.
func (c platformRemoveCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(store storage.Store) error {
		p, err := find(ctx, store, c.ID)
		if err != nil {
			return err
		}
		if !c.Yes {
			return vigil.Errorf(vigil.CodeIllegal, "This forgets %s (%s), its deployments and the links of its quizzes. Say --yes if you mean it.", p.Name, p.Issuer)
		}
		if err := store.DeletePlatform(ctx, p.ID); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s is removed.\n", p.Name)
		return c.record(ctx, s, store, deed{action: "platform.remove", detail: p.ID})
	})
}

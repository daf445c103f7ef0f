package main

import (
	"context"
	"fmt"
	"time"

	"vigil"
	"vigil/lti"
	"vigil/storage"
)

type inviteCmd struct {
	storeSettings `embed:""`
	PublicURL     string        `help:"Where browsers reach this tool, as given to serve." required:"" placeholder:"URL"`
	Private       bool          `help:"The LMS lies on a private network or on this machine: let the tool call it there."`
	Review        bool          `help:"Leave the registered platform pending until you activate it."`
	TTL           time.Duration `help:"How long the link is good for." default:"72h"`
}

// Run makes the invitation and prints its link.
func (c inviteCmd) Run(ctx context.Context, s *streams) error {
	if c.TTL < time.Minute || c.TTL > 90*24*time.Hour {
		return vigil.Invalid("ttl", "A link is good for 1m to 2160h.")
	}
	return c.with(ctx, s, func(store storage.Store) error {
		sealer, err := c.sealer(ctx, store)
		if err != nil {
			return err
		}
		tool, err := lti.New(lti.Config{PublicURL: c.PublicURL, Store: store, Sealer: sealer})
		if err != nil {
			return err
		}
		secret, err := tool.Invite(ctx, lti.Invitation{Private: c.Private, Review: c.Review, TTL: c.TTL})
		if err != nil {
			return err
		}
		fmt.Fprintf(s.err, "Paste this link into your LMS (Moodle with Vigil's plugins: Site administration > Plugins > Activity modules > Quiz > Connect Vigil).\nIt works once, until %s.\n",
			time.Now().Add(c.TTL).Format(time.RFC1123))
		fmt.Fprintln(s.out, tool.Origin()+lti.RegisterPath+"/"+secret)
		return c.record(ctx, s, store, deed{action: "invite.create"})
	})
}

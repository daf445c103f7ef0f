package lti_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"vigil"
	"vigil/lti"
	"vigil/lti/ltitest"
)

// A tool answers two addresses: the login, which sends the browser to the platform, and the
// launch, where it comes back with a signed token. The handler of the launch is called when
// every check has passed.
func Example() {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	sealer, err := lti.NewSealer(make([]byte, 32)) // a secret that is kept, outside of examples
	if err != nil {
		fmt.Println(err)
		return
	}
	store := newMemory(time.Now) // the program has storage/sqlite here
	tool, err := lti.New(lti.Config{PublicURL: server.URL, Store: store, Sealer: sealer, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tool.Close()
	mux.HandleFunc(lti.LoginPath, tool.ServeLogin)
	mux.HandleFunc(lti.LaunchPath, func(w http.ResponseWriter, r *http.Request) {
		tool.ServeLaunch(w, r, func(w http.ResponseWriter, _ *http.Request, l lti.Launch) {
			_, _ = fmt.Fprintf(w, "%s came as a %s to %q", l.Name, l.Role, l.Resource.Title)
		})
	})

	// The platform and the tool are told of each other, as their admins do by hand.
	platform, err := ltitest.Serve(ltitest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer platform.Close()
	launchURL := server.URL + lti.LaunchPath
	registered := platform.Register(ltitest.Tool{
		LoginURL: server.URL + lti.LoginPath, RedirectURIs: []string{launchURL}, TargetLinkURI: launchURL, KeySetURL: server.URL + lti.KeysPath,
	})
	e := platform.Endpoints(registered.ClientID)
	ctx := context.Background()
	err = store.CreatePlatform(ctx, vigil.Platform{
		ID: "school", Issuer: e.Issuer, ClientID: registered.ClientID, AuthorizationEndpoint: e.Authorization,
		TokenEndpoint: e.Token, KeySetURL: e.KeySet, State: vigil.PlatformActive, Created: time.Now(),
		Private: true, // it is on this machine
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = store.SaveDeployment(ctx, vigil.Deployment{PlatformID: "school", ID: registered.DeploymentID, State: vigil.DeploymentActive})
	if err != nil {
		fmt.Println(err)
		return
	}

	// A student clicks on the quiz.
	browser := ltitest.NewBrowser(nil)
	browser.SignIn(platform, "3")
	page, err := browser.Open(ctx, platform.Begin(ltitest.Launch{ClientID: registered.ClientID, UserID: "3", Message: ltitest.ResourceLink}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(page.Body)

	// Output:
	// Amara Okafor came as a learner to "Midterm: The living cell"
}

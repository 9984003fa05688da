//! The beginning of a connection: who may come in, and what a client is told of the server.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::{
    ServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
    save_startup_parameters_to_metadata,
};
use datafusion_postgres::pgwire::api::{ClientInfo, METADATA_USER, PgWireConnectionState, PidSecretKeyGenerator};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::startup::Authentication;
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::{Sink, SinkExt};

use super::error::fatal;
use super::service::Service;
use super::settings;
use crate::server::authenticate;

/// Who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Everybody who reaches the address: this machine's own, or others by `--insecure`.
    Open,
    /// Whoever gives a token as the password, over TLS or from this machine. The user may call themselves anything.
    Tokens,
}

/// Whose connection it is, where tokens are asked for: what they see is looked up anew for each query.
pub(super) struct Holder(pub(super) String);

/// Lets one client in.
pub(super) struct Startup {
    pub(super) service: Arc<Service>,
    /// False where there are too many clients already.
    pub(super) welcome: bool,
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                settings::lower_names(client.metadata_mut());
                if !self.welcome {
                    let hint = "close connections, or raise `max_connections` in [postgres]";
                    return Err(fatal("53300", "sorry, too many clients already", hint));
                }
                if self.service.door() == Door::Open {
                    return self.let_in(client).await;
                }
                if !client.is_secure() && !client.socket_addr().ip().is_loopback() {
                    let message = "a password would cross the network unprotected, and is not asked for";
                    return Err(fatal("28000", message, "connect with sslmode=require"));
                }
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                client.send(PgWireBackendMessage::Authentication(Authentication::CleartextPassword)).await?;
                Ok(())
            }
            PgWireFrontendMessage::PasswordMessageFamily(answer) => {
                let password = answer.into_password()?;
                if let Ok(issued) = authenticate(self.service.app(), &password.password) {
                    client.session_extensions().insert(Holder(issued.token.id.clone()));
                    return self.let_in(client).await;
                }
                let user = client.metadata().get(METADATA_USER).cloned().unwrap_or_default();
                let message = format!("password authentication failed for user \"{user}\"");
                Err(fatal("28P01", message, "the password is a token of this server; the user's name is free"))
            }
            _ => Ok(()),
        }
    }
}

impl Startup {
    async fn let_in<C>(&self, client: &mut C) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (pid, secret) = self.service.ids().generate(client);
        client.session_extensions().insert(self.service.connections().add(pid, &secret));
        client.set_pid_and_secret_key(pid, secret);
        finish_authentication(client, &Told).await
    }
}

/// What a client is told of the server at its start-up.
struct Told;

impl ServerParameterProvider for Told {
    fn server_parameters<C: ClientInfo>(&self, client: &C) -> Option<HashMap<String, String>> {
        Some(settings::reported(client.metadata()))
    }
}

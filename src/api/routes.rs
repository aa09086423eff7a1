//! The `routes!` macro: one table per feature, which reads as its access matrix.

/// Builds [`crate::http::Routes`] from rows such as
/// `post (AccountId / "payments") may(Edit) => record: New<Payment> -> Created<Payment>;`.
///
/// The path comes first, then the method, then the permission, so that an unknown address is 404 and not 401. A row without a
/// permission does not compile, nor does one that does not say what it takes ([`Takes`](crate::operation::Takes)) and answers
/// ([`Answers`](crate::operation::Answers)). `up_to(4_096)` behind the permission says how many bytes a body may have, where
/// `HTTP_BODY_LIMIT` is too much; a row that takes files says how long they may take too: `up_to(104_857_600) within(10 * MINUTE)`.
/// A doc comment on a row says what method and path do not; its first sentence is the title in the
/// API's documentation. The path is boxed at once, which keeps compile times low. Handlers take the path's ids, the caller unless
/// the row is `public` or `limited`, and the request.
#[macro_export]
macro_rules! routes {
    (
        $app:expr, $prefix:literal;
        $(
            $(#[doc = $about:literal])*
            $method:ident ($($path:tt)*) $access:ident $(($permission:ident))? $(up_to($limit:expr) $(within($time:expr))?)?
                => $handler:path: $takes:ident $(<$taken:ident>)? -> $answers:ty;
        )*
    ) => {{
        use ::warp::Filter as _;
        let app: &$crate::app::App = $app;
        let routes = vec![$(
            $crate::http::Route {
                row: $crate::http::Row::new(
                    $prefix,
                    stringify!($method),
                    stringify!($($path)*),
                    $crate::routes!(@access $($permission)?),
                    concat!($($about),*),
                    |operation| {
                        <$takes $(<$taken>)? as $crate::operation::Takes>::describe(operation);
                        <$answers as $crate::operation::Answers>::describe(operation);
                    },
                ),
                filter: ::warp::path($prefix)
                    .and($crate::routes!(@path $($path)*))
                    .boxed()
                    .and(::warp::$method())
                    .and($access(app $(, $permission)?))
                    .and($crate::routes!(@request app $(, $limit $(, $time)?)?))
                    .boxed()
                    .then($handler)
                    .map($crate::api::respond)
                    .boxed(),
            }
        ),*];
        $crate::http::Routes { routes, protocols: Vec::new() }
    }};
    (@request $app:ident) => { $crate::routes!(@request $app, $app.config.http.body_limit) };
    (@request $app:ident, $limit:expr) => {
        $crate::routes!(@request $app, $limit.min($app.config.http.body_limit), $app.config.http.body_timeout)
    };
    (@request $app:ident, $limit:expr, $time:expr) => { $crate::api::request($app, $limit, $time) };
    (@path) => { ::warp::path::end() };
    (@path $($path:tt)+) => { ::warp::path!($($path)+) };
    (@access) => { "public" };
    (@access $permission:ident) => { stringify!($permission) };
}

/** Variables of this shell that a remote needs. */

/** Returns those for credentials, proxies of ssh, the keyring and the home folder. */
export function credentials(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined &&
        /^(AWS_|SSH_|RCLONE_|DBUS_SESSION_BUS_ADDRESS$|XDG_(CONFIG_HOME|RUNTIME_DIR)$|HOME$|PATH$|USER$)/.test(
          entry[0],
        ),
    ),
  );
}
